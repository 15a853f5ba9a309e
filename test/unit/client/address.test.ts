/** Asking where to connect: the gateway's answers and refusals, and that a request leaves nothing behind after its time. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MegagateClient } from "../../../src/client/client.js";
import type { FetchResponse } from "../../../src/client/environment.js";
import type { ClientOptions } from "../../../src/client/settings.js";
import { FakeSocket, Fixture, settled } from "./fixture.js";

interface Question {
  readonly url: string;
  readonly signal: AbortSignal;
  answer(json: unknown, status?: number, headers?: Readonly<Record<string, string>>): void;
  fail(error: Error): void;
}

/** A fixture whose fetch is answered by the test; like the real one, the fetch fails when it is aborted. */
function asking(options: Partial<ClientOptions> = {}): { fixture: Fixture; questions: Question[]; errors: string[] } {
  const questions: Question[] = [];
  const errors: string[] = [];
  const fixture = new Fixture({
    addressUrl: "/bcall/url",
    fetch: (url, { signal }) =>
      new Promise<FetchResponse>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("aborted")));
        questions.push({
          url,
          signal,
          fail: reject,
          answer: (json, status = 200, headers = {}) =>
            resolve(new Response(JSON.stringify(json), { status, headers })),
        });
      }),
    ...options,
  });
  fixture.client.on("error", ({ error }) => errors.push(error));
  fixture.client.subscribe("t");
  return { fixture, questions, errors };
}

/** The body of a response is read in several turns. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await settled();
}

describe("client asks for its address", () => {
  it("before each connection, and dials the answer", async () => {
    const { fixture, questions } = asking();
    assert.deepEqual(
      [questions[0]?.url, fixture.client.state, fixture.sockets.length],
      ["/bcall/url", "connecting", 0],
    );
    questions[0]?.answer({ data: "ws://a/ws" });
    await quiet();
    assert.equal(fixture.socket.url, "ws://a/ws");
    fixture.socket.open();
    fixture.socket.end(1006);
    fixture.clock.advance(500);
    questions[1]?.answer({ data: "ws://b/ws" });
    await quiet();
    assert.deepEqual([questions.length, fixture.socket.url], [2, "ws://b/ws"]);
    fixture.client.close();
  });

  it("and dials with the ticket at the given time, whatever the page reports", async () => {
    const { fixture, questions } = asking({ topicsInUrl: true });
    const waits: unknown[] = [];
    fixture.client.on("state", ({ to, delayMs, reason }) => waits.push([to, delayMs, reason]));
    questions[0]?.answer({ data: "ws://a/ws?ticket=x", afterMs: 4000 });
    await quiet();
    assert.deepEqual(waits, [["waiting", 4000, "the gateway has given it a later turn"]]);
    fixture.clock.advance(1000);
    for (const signal of ["offline", "online"]) fixture.window.fire(signal);
    fixture.document.fire("visibilitychange");
    assert.deepEqual(fixture.clock.pending, [3000]);
    fixture.clock.advance(2999);
    assert.equal(fixture.sockets.length, 0);
    fixture.clock.advance(1);
    assert.deepEqual([fixture.socket.url, questions.length], ["ws://a/ws?ticket=x&topics=t", 1]);
    fixture.socket.end(1006);
    fixture.clock.advance(1000);
    assert.equal(questions.length, 2, "a slot is used once");
    fixture.client.close();
  });

  it("and asks again when the ticket has expired in the meantime", async () => {
    const { fixture, questions } = asking();
    questions[0]?.answer({ data: "ws://a/ws?ticket=x", afterMs: 4000 });
    await quiet();
    fixture.window.fire("offline");
    fixture.clock.advance(14_001);
    fixture.window.fire("online");
    fixture.clock.advance(0);
    assert.deepEqual([fixture.sockets.length, questions.length], [0, 2]);
    fixture.client.close();
  });

  it("and waits for Retry-After, in seconds or as a date", async () => {
    for (const [retryAfter, min, max] of [
      ["7", 7000, 8000],
      [new Date(Date.now() + 60_000).toUTCString(), 57_000, 61_000],
      ["soon", 0, 1000],
    ] as const) {
      const { fixture, questions, errors } = asking();
      questions[0]?.answer({ code: 4200 }, 503, { "Retry-After": retryAfter });
      await quiet();
      const [delay = -1] = fixture.clock.pending;
      assert.ok(delay >= min && delay <= max, `${retryAfter}: ${delay}`);
      assert.deepEqual([fixture.client.state, errors], ["waiting", ["/bcall/url answered 503"]]);
      fixture.document.fire("visibilitychange");
      assert.deepEqual(fixture.clock.pending, [retryAfter === "soon" ? 0 : delay]);
      fixture.client.close();
    }
  });

  it("and tries again with its own delays when there is no answer, or one that it does not understand", async () => {
    const { fixture, questions, errors } = asking({ topicsInUrl: true });
    const fail: ((question: Question | undefined) => void)[] = [
      (question) => question?.fail(new Error("no network")),
      (question) => question?.answer({}, 404),
      (question) => question?.answer(null),
      (question) => question?.answer({ data: 5 }),
    ];
    for (const [n, way] of fail.entries()) {
      way(questions[n]);
      await quiet();
      assert.deepEqual(fixture.clock.pending, [500 * 2 ** n]);
      fixture.clock.advance(500 * 2 ** n);
    }
    assert.deepEqual(errors, [
      "no network",
      "/bcall/url answered 404",
      '/bcall/url did not answer {"data":"ws://…"}',
      '/bcall/url did not answer {"data":"ws://…"}',
    ]);
    questions[4]?.answer({ data: "ws://a/ws", afterMs: "soon" });
    await quiet();
    assert.equal(fixture.socket.url, "ws://a/ws?topics=t", "no attempt with topics has failed");
    fixture.client.close();
  });

  it("and aborts a request in time, and on close()", async () => {
    const { fixture, questions, errors } = asking({ connectTimeoutMs: 1000 });
    fixture.clock.advance(1000);
    assert.deepEqual([fixture.client.state, questions[0]?.signal.aborted], ["waiting", true]);
    fixture.clock.advance(500);
    assert.equal(questions[1]?.signal.aborted, false);
    fixture.client.close();
    assert.deepEqual([questions[1].signal.aborted, fixture.clock.pending], [true, []]);
    await quiet();
    assert.deepEqual([errors, fixture.client.state, fixture.sockets.length], [[], "closed", 0]);
  });

  it("and leaves no timer when it is closed while it waits for its turn", async () => {
    const { fixture, questions } = asking();
    questions[0]?.answer({ data: "ws://a/ws?ticket=x", afterMs: 4000 });
    await quiet();
    fixture.client.close();
    assert.deepEqual([fixture.clock.pending, fixture.client.state], [[], "closed"]);
  });

  it("from one source: a client with none, or with two, is refused", () => {
    const WebSocket = FakeSocket;
    for (const options of [{ WebSocket }, { WebSocket, url: "ws://a/ws", addressUrl: "/bcall/url" }]) {
      assert.throws(() => new MegagateClient(options), /either `url`.* or `addressUrl`/);
    }
  });

  it("and waits as long as a timer can when it is asked to wait longer", async () => {
    const { fixture, questions } = asking();
    questions[0]?.answer({ data: "ws://a/ws", afterMs: 1e15 });
    await quiet();
    assert.deepEqual(fixture.clock.pending, [2 ** 31 - 1]);
    fixture.client.close();
  });
});
