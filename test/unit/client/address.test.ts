/** Asking where to connect: the gateway's slots, its refusals, and that nothing is left of a question after its time. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MegagateClient } from "../../../src/client/client.js";
import type { FetchResponse } from "../../../src/client/environment.js";
import type { ClientOptions } from "../../../src/client/settings.js";
import { FakeSocket, Place, settled } from "./fixture.js";

interface Question {
  readonly url: string;
  readonly signal: AbortSignal;
  answer(json: unknown, status?: number, headers?: Readonly<Record<string, string>>): void;
  fail(error: Error): void;
}

/** A place whose fetch is answered by the test; like the real one, it fails when it is aborted. */
function asking(options: Partial<ClientOptions> = {}): { place: Place; questions: Question[]; errors: string[] } {
  const questions: Question[] = [];
  const errors: string[] = [];
  const place = new Place({
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
  place.client.on("error", ({ error }) => errors.push(error));
  place.client.subscribe("t");
  return { place, questions, errors };
}

/** The body of a response is read in several turns. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await settled();
}

describe("client asks for its address", () => {
  it("before each connection, and dials what it is told", async () => {
    const { place, questions } = asking();
    assert.deepEqual([questions[0]?.url, place.client.state, place.sockets.length], ["/bcall/url", "connecting", 0]);
    questions[0]?.answer({ data: "ws://a/ws" });
    await quiet();
    assert.equal(place.socket.url, "ws://a/ws");
    place.socket.open();
    place.socket.end(1006);
    place.clock.advance(500);
    questions[1]?.answer({ data: "ws://b/ws" });
    await quiet();
    assert.deepEqual([questions.length, place.socket.url], [2, "ws://b/ws"]);
    place.client.close();
  });

  it("and comes with the ticket of its slot when its time is there, whatever the page says", async () => {
    const { place, questions } = asking({ topicsInUrl: true });
    const waits: unknown[] = [];
    place.client.on("state", ({ to, delayMs, reason }) => waits.push([to, delayMs, reason]));
    questions[0]?.answer({ data: "ws://a/ws?ticket=x", afterMs: 4000 });
    await quiet();
    assert.deepEqual(waits, [["waiting", 4000, "the gateway has given it a later turn"]]);
    place.clock.advance(1000);
    for (const signal of ["offline", "online"]) place.window.fire(signal);
    place.document.fire("visibilitychange");
    assert.deepEqual(place.clock.pending, [3000]);
    place.clock.advance(2999);
    assert.equal(place.sockets.length, 0);
    place.clock.advance(1);
    assert.deepEqual([place.socket.url, questions.length], ["ws://a/ws?ticket=x&topics=t", 1]);
    place.socket.end(1006);
    place.clock.advance(1000);
    assert.equal(questions.length, 2, "a slot is used once");
    place.client.close();
  });

  it("and asks anew when its slot has passed meanwhile", async () => {
    const { place, questions } = asking();
    questions[0]?.answer({ data: "ws://a/ws?ticket=x", afterMs: 4000 });
    await quiet();
    place.window.fire("offline");
    place.clock.advance(14_001);
    place.window.fire("online");
    place.clock.advance(0);
    assert.deepEqual([place.sockets.length, questions.length], [0, 2]);
    place.client.close();
  });

  it("and obeys Retry-After, in seconds or as a date", async () => {
    for (const [retryAfter, min, max] of [
      ["7", 7000, 8000],
      [new Date(Date.now() + 60_000).toUTCString(), 57_000, 61_000],
      ["soon", 0, 1000],
    ] as const) {
      const { place, questions, errors } = asking();
      questions[0]?.answer({ code: 4200 }, 503, { "Retry-After": retryAfter });
      await quiet();
      const [delay = -1] = place.clock.pending;
      assert.ok(delay >= min && delay <= max, `${retryAfter}: ${delay}`);
      assert.deepEqual([place.client.state, errors], ["waiting", ["/bcall/url answered 503"]]);
      place.document.fire("visibilitychange");
      assert.deepEqual(place.clock.pending, [retryAfter === "soon" ? 0 : delay]);
      place.client.close();
    }
  });

  it("and tries again with its own delays when there is no answer, or none that it understands", async () => {
    const { place, questions, errors } = asking({ topicsInUrl: true });
    const fail: ((question: Question | undefined) => void)[] = [
      (question) => question?.fail(new Error("no network")),
      (question) => question?.answer({}, 404),
      (question) => question?.answer(null),
      (question) => question?.answer({ data: 5 }),
    ];
    for (const [n, way] of fail.entries()) {
      way(questions[n]);
      await quiet();
      assert.deepEqual(place.clock.pending, [500 * 2 ** n]);
      place.clock.advance(500 * 2 ** n);
    }
    assert.deepEqual(errors, [
      "no network",
      "/bcall/url answered 404",
      '/bcall/url did not answer {"data":"ws://…"}',
      '/bcall/url did not answer {"data":"ws://…"}',
    ]);
    questions[4]?.answer({ data: "ws://a/ws", afterMs: "soon" });
    await quiet();
    assert.equal(place.socket.url, "ws://a/ws?topics=t", "no attempt with topics has failed");
    place.client.close();
  });

  it("and gives a question up in time, and on close()", async () => {
    const { place, questions, errors } = asking({ connectTimeoutMs: 1000 });
    place.clock.advance(1000);
    assert.deepEqual([place.client.state, questions[0]?.signal.aborted], ["waiting", true]);
    place.clock.advance(500);
    assert.equal(questions[1]?.signal.aborted, false);
    place.client.close();
    assert.deepEqual([questions[1].signal.aborted, place.clock.pending], [true, []]);
    await quiet();
    assert.deepEqual([errors, place.client.state, place.sockets.length], [[], "closed", 0]);
  });

  it("and leaves no timer when it is closed while it waits for its turn", async () => {
    const { place, questions } = asking();
    questions[0]?.answer({ data: "ws://a/ws?ticket=x", afterMs: 4000 });
    await quiet();
    place.client.close();
    assert.deepEqual([place.clock.pending, place.client.state], [[], "closed"]);
  });

  it("from one place: a client without any, or with two, is not made", () => {
    const WebSocket = FakeSocket;
    for (const options of [{ WebSocket }, { WebSocket, url: "ws://a/ws", addressUrl: "/bcall/url" }]) {
      assert.throws(() => new MegagateClient(options), /either `url`.* or `addressUrl`/);
    }
  });

  it("and waits for as long as a timer can when it is told to wait longer", async () => {
    const { place, questions } = asking();
    questions[0]?.answer({ data: "ws://a/ws", afterMs: 1e15 });
    await quiet();
    assert.deepEqual(place.clock.pending, [2 ** 31 - 1]);
    place.client.close();
  });
});
