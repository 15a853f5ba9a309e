/** Topics in the address of a connection: answered without a message, and given up where they do not work. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Subscription } from "../../../src/client/subscription.js";
import { Place, push, recorder, settled } from "./fixture.js";

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

function following(snapshot = false, url = "ws://test/ws"): { place: Place; heard: string[] } {
  const place = new Place({ url, topicsInUrl: true });
  const heard: string[] = [];
  place.client.subscribe("t", { ...recorder(heard), snapshot });
  return { place, heard };
}

/** Several topics are there before it connects: an address that has to be asked for takes a moment. */
function subscribed(topics: readonly string[]): { place: Place; subscriptions: Subscription[] } {
  const place = new Place({ topicsInUrl: true, url: () => Promise.resolve("ws://test/ws") });
  return { place, subscriptions: topics.map((topic) => place.client.subscribe(topic)) };
}

/** Ends this attempt and begins the next; its address. */
function next(place: Place): string {
  place.socket.end(1006);
  place.clock.advance(place.clock.pending[0] ?? 0);
  return place.socket.url;
}

const WITH = "ws://test/ws?topics=t";
const WITHOUT = "ws://test/ws";

describe("client names topics in the address", () => {
  it("and needs no message; on the next connection with the position", () => {
    const { place, heard } = following();
    assert.equal(place.socket.url, WITH);
    place.socket.open();
    place.socket.give(push(5));
    place.socket.give(answer("t", 5));
    place.socket.give(push(6));
    assert.equal(next(place), `${WITH}@e:6`);
    place.socket.open();
    place.socket.give(push(8));
    place.socket.give(answer("t", 8, { recovered: true }));
    for (const offset of [7, 8]) place.socket.give(push(offset));
    assert.deepEqual(heard, ["state e:5 ", "push 6", "push 7", "push 8"]);
    assert.deepEqual(
      place.sockets.flatMap(({ sent }) => sent),
      [],
    );
    assert.deepEqual([place.client.counts.strays, place.client.counts.unknown, place.client.counts.resets], [2, 0, 0]);
    place.client.close();
  });

  it("and hears the state that it wanted, and of what was missed", () => {
    const { place, heard } = following(true);
    place.socket.open();
    place.socket.give(answer("t", 5, { data: [{ key: "a", data: 1 }] }));
    next(place);
    place.socket.open();
    place.socket.give(answer("t", 9, { data: [{ key: "b", data: 1 }] }));
    assert.deepEqual(heard, ["state e:5 a", "reset missed 5-9", "state e:9 b"]);
    assert.deepEqual(place.socket.sent, []);
    place.client.close();
  });

  it("and asks by message after a gap: only the first answer without an id is its own", () => {
    const { place, heard } = following();
    place.socket.open();
    place.socket.give(answer("t", 5));
    place.socket.give(push(8));
    assert.deepEqual(place.socket.asked, { reqtype: "Subscribe", topic: "t", since: { epoch: "e", offset: 5 }, id: 2 });
    place.socket.give(answer("t", 9));
    assert.equal(place.client.counts.unknown, 1);
    place.socket.answer({ topic: "t", offset: 8, recovered: true });
    for (const offset of [6, 7, 8]) place.socket.give(push(offset));
    assert.deepEqual(heard, ["state e:5 ", "gap 6-7", "push 6", "push 7", "push 8"]);
    place.client.close();
  });

  it("and asks again later by message when one is refused for now", () => {
    const { place, heard } = following();
    place.client.subscribe("u", recorder(heard, "u "));
    next(place);
    next(place);
    const errors: unknown[] = [];
    place.client.on("error", (event) => errors.push(event));
    place.socket.open();
    place.socket.give({ reqtype: "Subscribe", topic: "u", code: 4006, error: "the hub is away" });
    place.socket.give(answer("t", 1));
    assert.deepEqual([place.socket.sent, errors], [[], []]);
    place.clock.advance(3000);
    assert.equal(place.socket.asked?.topic, "u");
    place.socket.answer({ topic: "u", offset: 2 });
    assert.deepEqual(heard, ["state e:1 ", "u state e:2 "]);
    place.client.close();
  });

  it("and unsubscribes what was closed meanwhile, once its answer is there", async () => {
    const { place, subscriptions } = subscribed(["t", "u", "v"]);
    const [first, second, third] = subscriptions;
    await settled();
    assert.equal(place.socket.url, "ws://test/ws?topics=t,u,v");
    first?.close();
    third?.close();
    const heard: string[] = [];
    place.client.subscribe("v", recorder(heard));
    place.socket.open();
    assert.deepEqual(place.socket.sent, [{ reqtype: "Subscribe", topic: "v", id: 4 }], "the new one asks for itself");
    second?.close();
    place.socket.give(answer("v", 1));
    place.socket.give(answer("t", 1));
    place.socket.give(answer("u", 1));
    assert.deepEqual(place.socket.sent.slice(1), [
      { reqtype: "Unsubscribe", topic: "t" },
      { reqtype: "Unsubscribe", topic: "u" },
    ]);
    assert.deepEqual(heard, []);
    place.socket.give({ ...answer("v", 2), id: 4 });
    assert.deepEqual(heard, ["state e:2 "]);
    await settled();
    place.client.close();
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
      const { place, heard } = following(false, url);
      assert.equal(place.socket.url, wanted);
      place.socket.open();
      assert.equal(place.socket.sent.length, wanted === url ? 1 : 0);
      if (wanted === url) {
        place.socket.give(answer("t", 3));
        assert.deepEqual([heard, place.client.counts.unknown], [[], 1], "an answer to its author's topics is not ours");
      }
      place.client.close();
    });
  }

  it("carries no more topics than a gateway takes, and none that it would refuse; the others are sent", async () => {
    const many = Array.from({ length: 40 }, (_, n) => `t:${n}`);
    const { place } = subscribed(["no blanks", "a@e:1", "a::b", "x".repeat(129), ...many]);
    await settled();
    const named = new URL(place.socket.url).searchParams.get("topics")?.split(",");
    assert.deepEqual(named, many.slice(0, 16));
    place.socket.open();
    assert.equal(place.socket.sent.length, 28);
    place.client.close();
    const { place: long } = subscribed(many.map((name) => `${name}-${"x".repeat(110)}`));
    await settled();
    assert.equal(new URL(long.socket.url).searchParams.get("topics")?.split(",").length, 10);
    assert.ok(long.socket.url.length <= 1200);
    long.client.close();
  });

  it("has 1,200 bytes at most with its topics and positions, however long the given one is: they arrive in one segment", () => {
    for (let bytes = 1000; bytes <= 1210; bytes++) {
      const url = `wss://test/ws?token=${"x".repeat(bytes - 20)}`;
      const place = new Place({ url, topicsInUrl: true });
      for (let n = 0; n < 40; n++) place.client.subscribe(`t${n}`);
      place.socket.end(1006);
      for (const { url: dialed } of place.sockets)
        assert.ok(dialed.length <= Math.max(1200, bytes), `${dialed.length}`);
      place.client.close();
    }
    const blanks = new Place({ url: `ws://test/ws?name=${"ü ".repeat(50)}`, topicsInUrl: true });
    for (let n = 0; n < 16; n++) blanks.client.subscribe(`${"x".repeat(100)}${n}`);
    assert.ok(new URL(blanks.socket.url).href.length <= 1200, "as it travels");
    blanks.client.close();
  });

  it("that is too long by itself is dialled, and said to be so", () => {
    const place = new Place({ url: `ws://test/ws?token=${"x".repeat(1200)}` });
    const errors: string[] = [];
    place.client.on("error", ({ error }) => errors.push(error));
    place.client.subscribe("t");
    assert.equal(place.sockets.length, 1);
    assert.match(errors.join(), /^the address has 1219 bytes: beyond 1200 .* 505$/);
    place.client.close();
  });
});

describe("client's topics in the address are on trial", () => {
  it("after a failed attempt the next one goes without; each failure in a row doubles that", () => {
    const { place } = following();
    const seen: boolean[] = [place.socket.url === WITH];
    for (let n = 0; n < 11; n++) {
      if (place.socket.url === WITHOUT) place.socket.open();
      seen.push(next(place) === WITH);
    }
    const [T, F] = [true, false];
    assert.deepEqual(seen, [T, F, T, F, F, F, T, F, F, F, F, F]);
    place.client.close();
  });

  it("an attempt without them that fails too acquits them, and an answer ends all doubt", () => {
    const { place } = following();
    const seen = [place.socket.url, next(place), next(place), next(place), next(place)];
    assert.deepEqual(seen, [WITH, WITHOUT, WITH, WITHOUT, WITH]);
    for (let n = 0; n < 3; n++) {
      place.socket.open();
      place.socket.give(answer("t", 5));
      assert.equal(next(place), `${WITH}@e:5`);
    }
    assert.equal(next(place), WITHOUT);
    place.client.close();
  });

  it("a connection whose topics were never answered counts as a failure", () => {
    const { place } = following();
    place.socket.open();
    for (let second = 0; second < 60 && place.client.state === "open"; second++) {
      place.socket.give({ reqtype: "Heartbeat", code: 0 });
      place.clock.advance(1000);
    }
    assert.equal(place.client.state, "waiting");
    place.clock.advance(1000);
    assert.equal(place.socket.url, WITHOUT);
    place.client.close();
  });
});
