/** Topics in the address of a connection: answered without a message, and left out if they do not work. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Subscription } from "../../../src/client/subscription.js";
import { Fixture, push, recorder, settled } from "./fixture.js";

const answer = (topic: string, offset: number, more: object = {}): Record<string, unknown> => ({
  reqtype: "Subscribe",
  code: 0,
  topic,
  epoch: "e",
  offset,
  recovered: false,
  data: [],
  ...more,
});

function following(snapshot = false, url = "ws://test/ws"): { fixture: Fixture; seen: string[] } {
  const fixture = new Fixture({ url, topicsInUrl: true });
  const seen: string[] = [];
  fixture.client.subscribe("t", { ...recorder(seen), snapshot });
  return { fixture, seen };
}

/** Several topics are subscribed before it connects: an address that must be fetched takes a moment. */
function subscribed(topics: readonly string[]): { fixture: Fixture; subscriptions: Subscription[] } {
  const fixture = new Fixture({ topicsInUrl: true, url: () => Promise.resolve("ws://test/ws") });
  return { fixture, subscriptions: topics.map((topic) => fixture.client.subscribe(topic)) };
}

/** Ends this attempt and begins the next; its address. */
function next(fixture: Fixture): string {
  fixture.socket.end(1006);
  fixture.clock.advance(fixture.clock.pending[0] ?? 0);
  return fixture.socket.url;
}

const WITH = "ws://test/ws?topics=t";
const WITHOUT = "ws://test/ws";

describe("client names topics in the address", () => {
  it("and needs no message; on the next connection with the position", () => {
    const { fixture, seen } = following();
    assert.equal(fixture.socket.url, WITH);
    fixture.socket.open();
    fixture.socket.give(push(5));
    fixture.socket.give(answer("t", 5));
    fixture.socket.give(push(6));
    assert.equal(next(fixture), `${WITH}@e:6`);
    fixture.socket.open();
    fixture.socket.give(push(8));
    fixture.socket.give(answer("t", 8, { recovered: true }));
    for (const offset of [7, 8]) fixture.socket.give(push(offset));
    assert.deepEqual(seen, ["state e:5 ", "push 6", "push 7", "push 8"]);
    assert.deepEqual(
      fixture.sockets.flatMap(({ sent }) => sent),
      [],
    );
    assert.deepEqual(
      [fixture.client.counts.strays, fixture.client.counts.unknown, fixture.client.counts.resets],
      [2, 0, 0],
    );
    fixture.client.close();
  });

  it("and gets the state, and a reset for what was missed", () => {
    const { fixture, seen } = following(true);
    fixture.socket.open();
    fixture.socket.give(answer("t", 5, { data: [{ key: "a", data: 1 }] }));
    next(fixture);
    fixture.socket.open();
    fixture.socket.give(answer("t", 9, { data: [{ key: "b", data: 1 }] }));
    assert.deepEqual(seen, ["state e:5 a", "reset missed 5-9", "state e:9 b"]);
    assert.deepEqual(fixture.socket.sent, []);
    fixture.client.close();
  });

  it("and asks by message after a gap: only the first answer without an id is its own", () => {
    const { fixture, seen } = following();
    fixture.socket.open();
    fixture.socket.give(answer("t", 5));
    fixture.socket.give(push(8));
    assert.deepEqual(fixture.socket.asked, {
      reqtype: "Subscribe",
      topic: "t",
      since: { epoch: "e", offset: 5 },
      id: 2,
    });
    fixture.socket.give(answer("t", 9));
    assert.equal(fixture.client.counts.unknown, 1);
    fixture.socket.answer({ topic: "t", offset: 8, recovered: true });
    for (const offset of [6, 7, 8]) fixture.socket.give(push(offset));
    assert.deepEqual(seen, ["state e:5 ", "gap 6-7", "push 6", "push 7", "push 8"]);
    fixture.client.close();
  });

  it("and asks again later by message when one is refused for now", () => {
    const { fixture, seen } = following();
    fixture.client.subscribe("u", recorder(seen, "u "));
    next(fixture);
    next(fixture);
    const errors: unknown[] = [];
    fixture.client.on("error", (event) => errors.push(event));
    fixture.socket.open();
    fixture.socket.give({ reqtype: "Subscribe", topic: "u", code: 4006, error: "the hub is away" });
    fixture.socket.give(answer("t", 1));
    assert.deepEqual([fixture.socket.sent, errors], [[], []]);
    fixture.clock.advance(3000);
    assert.equal(fixture.socket.asked?.topic, "u");
    fixture.socket.answer({ topic: "u", offset: 2 });
    assert.deepEqual(seen, ["state e:1 ", "u state e:2 "]);
    fixture.client.close();
  });

  it("and unsubscribes a topic that was closed in the meantime, after its answer", async () => {
    const { fixture, subscriptions } = subscribed(["t", "u", "v"]);
    const [first, second, third] = subscriptions;
    await settled();
    assert.equal(fixture.socket.url, "ws://test/ws?topics=t,u,v");
    first?.close();
    third?.close();
    const seen: string[] = [];
    fixture.client.subscribe("v", recorder(seen));
    fixture.socket.open();
    assert.deepEqual(fixture.socket.sent, [{ reqtype: "Subscribe", topic: "v", id: 4 }], "the new one asks for itself");
    second?.close();
    fixture.socket.give(answer("v", 1));
    fixture.socket.give(answer("t", 1));
    fixture.socket.give(answer("u", 1));
    assert.deepEqual(fixture.socket.sent.slice(1), [
      { reqtype: "Unsubscribe", topic: "t" },
      { reqtype: "Unsubscribe", topic: "u" },
    ]);
    assert.deepEqual(seen, []);
    fixture.socket.give({ ...answer("v", 2), id: 4 });
    assert.deepEqual(seen, ["state e:2 "]);
    await settled();
    fixture.client.close();
  });
});

describe("client's address", () => {
  for (const [url, wanted] of [
    ["wss://test/ws?token=a%26b", "wss://test/ws?token=a%26b&topics=t"],
    ["ws://test/ws?topics=mine", "ws://test/ws?topics=mine"],
    ["ws://test/ws?a=1&topics=mine", "ws://test/ws?a=1&topics=mine"],
    ["ws://test/ws?mytopics=1", "ws://test/ws?mytopics=1&topics=t"],
    ["ws://test/ws#part", "ws://test/ws#part"],
    [`ws://test/ws?token=${"x".repeat(2050)}`, `ws://test/ws?token=${"x".repeat(2050)}`],
  ] as const) {
    it(`stays right: ${url.slice(0, 40)}`, () => {
      const { fixture, seen } = following(false, url);
      assert.equal(fixture.socket.url, wanted);
      fixture.socket.open();
      assert.equal(fixture.socket.sent.length, wanted === url ? 1 : 0);
      if (wanted === url) {
        fixture.socket.give(answer("t", 3));
        assert.deepEqual(
          [seen, fixture.client.counts.unknown],
          [[], 1],
          "an answer to the user's own topics is not for a subscription",
        );
      }
      fixture.client.close();
    });
  }

  it("carries no more topics than a gateway accepts, and none that it would refuse; the others are sent as messages", async () => {
    const many = Array.from({ length: 40 }, (_, n) => `t:${n}`);
    const { fixture } = subscribed(["no blanks", "a@e:1", "a::b", "x".repeat(129), ...many]);
    await settled();
    const named = new URL(fixture.socket.url).searchParams.get("topics")?.split(",");
    assert.deepEqual(named, many.slice(0, 16));
    fixture.socket.open();
    assert.equal(fixture.socket.sent.length, 28);
    fixture.client.close();
    const { fixture: long } = subscribed(many.map((name) => `${name}-${"x".repeat(110)}`));
    await settled();
    assert.equal(new URL(long.socket.url).searchParams.get("topics")?.split(",").length, 10);
    assert.ok(long.socket.url.length <= 1200);
    long.client.close();
  });

  it("has 1,200 bytes at most with its topics and positions, however long the given one is, so that it arrives in one segment", () => {
    for (let bytes = 1000; bytes <= 1210; bytes++) {
      const url = `wss://test/ws?token=${"x".repeat(bytes - 20)}`;
      const fixture = new Fixture({ url, topicsInUrl: true });
      for (let n = 0; n < 40; n++) fixture.client.subscribe(`t${n}`);
      fixture.socket.end(1006);
      for (const { url: dialed } of fixture.sockets)
        assert.ok(dialed.length <= Math.max(1200, bytes), `${dialed.length}`);
      fixture.client.close();
    }
    const blanks = new Fixture({ url: `ws://test/ws?name=${"ü ".repeat(50)}`, topicsInUrl: true });
    for (let n = 0; n < 16; n++) blanks.client.subscribe(`${"x".repeat(100)}${n}`);
    assert.ok(new URL(blanks.socket.url).href.length <= 1200, "as it travels");
    blanks.client.close();
  });

  it("that is too long by itself is dialled, and reported", () => {
    const fixture = new Fixture({ url: `ws://test/ws?token=${"x".repeat(1200)}` });
    const errors: string[] = [];
    fixture.client.on("error", ({ error }) => errors.push(error));
    fixture.client.subscribe("t");
    assert.equal(fixture.sockets.length, 1);
    assert.match(errors.join(), /^the address has 1219 bytes: beyond 1200 .* 505$/);
    fixture.client.close();
  });
});

describe("client's topics in an address that fails", () => {
  it("after a failed attempt the next one has none; each failure in a row doubles that", () => {
    const { fixture } = following();
    const seen: boolean[] = [fixture.socket.url === WITH];
    for (let n = 0; n < 11; n++) {
      if (fixture.socket.url === WITHOUT) fixture.socket.open();
      seen.push(next(fixture) === WITH);
    }
    const [T, F] = [true, false];
    assert.deepEqual(seen, [T, F, T, F, F, F, T, F, F, F, F, F]);
    fixture.client.close();
  });

  it("an attempt without them that fails too shows that they were not the cause, and so does an answer", () => {
    const { fixture } = following();
    const seen = [fixture.socket.url, next(fixture), next(fixture), next(fixture), next(fixture)];
    assert.deepEqual(seen, [WITH, WITHOUT, WITH, WITHOUT, WITH]);
    for (let n = 0; n < 3; n++) {
      fixture.socket.open();
      fixture.socket.give(answer("t", 5));
      assert.equal(next(fixture), `${WITH}@e:5`);
    }
    assert.equal(next(fixture), WITHOUT);
    fixture.client.close();
  });

  it("a connection whose topics were never answered counts as a failure", () => {
    const { fixture } = following();
    fixture.socket.open();
    for (let second = 0; second < 60 && fixture.client.state === "open"; second++) {
      fixture.socket.give({ reqtype: "Heartbeat", code: 0 });
      fixture.clock.advance(1000);
    }
    assert.equal(fixture.client.state, "waiting");
    fixture.clock.advance(1000);
    assert.equal(fixture.socket.url, WITHOUT);
    fixture.client.close();
  });
});
