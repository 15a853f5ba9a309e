/** The events of a subscription: a start, then every push once and in order, or a reset that says what is missing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Fixture, following, push, reconnect } from "./fixture.js";

describe("client subscribes", () => {
  it("and gets a start, then pushes; duplicates are dropped and counted", () => {
    const { fixture, seen } = following();
    assert.deepEqual(fixture.socket.asked, { reqtype: "Subscribe", topic: "t", id: 1 });
    fixture.socket.give(push(5));
    fixture.socket.answer({ topic: "t", offset: 5 });
    for (const offset of [6, 6, 5, 7]) fixture.socket.give(push(offset));
    assert.deepEqual(seen, ["state e:5 ", "push 6", "push 7"]);
    assert.deepEqual([fixture.client.counts.duplicates, fixture.client.counts.strays], [2, 1]);
    fixture.client.close();
  });

  it("uses prev: offsets may be left out", () => {
    const { fixture, seen } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.socket.give(push(9, { prev: 5 }));
    assert.deepEqual(seen.slice(1), ["push 9"]);
    fixture.client.close();
  });

  it("asks once for the pushes of a gap, and goes on in order", () => {
    const { fixture, seen } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.socket.give(push(8));
    fixture.socket.give(push(9));
    const { sent } = fixture.socket;
    assert.equal(sent.length, 2);
    assert.deepEqual(sent[1], { reqtype: "Subscribe", topic: "t", since: { epoch: "e", offset: 5 }, id: 2 });
    fixture.socket.answer({ topic: "t", offset: 9, recovered: true });
    for (const offset of [6, 7, 8, 9, 10]) fixture.socket.give(push(offset));
    assert.deepEqual(seen.slice(1), ["gap 6-7", "push 6", "push 7", "push 8", "push 9", "push 10"]);
    assert.equal(fixture.client.counts.resets, 0);
    fixture.client.close();
  });

  it("asks for pushes that the gateway dropped, unless they came after all", () => {
    const { fixture, seen } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.socket.give({ event: "dropped", topic: "t", from: 3, to: 5 });
    assert.equal(fixture.socket.sent.length, 1);
    fixture.socket.give({ event: "dropped", topic: "t", from: 6, to: 7 });
    assert.deepEqual([seen.slice(1), fixture.socket.sent.length], [["gap 6-7"], 2]);
    fixture.client.close();
  });

  it("asks since its position on a new connection, where no push counts before the answer", () => {
    const { fixture, seen } = following(true);
    fixture.socket.answer({ topic: "t", offset: 5 });
    reconnect(fixture);
    assert.deepEqual(fixture.socket.asked, {
      reqtype: "Subscribe",
      topic: "t",
      since: { epoch: "e", offset: 5 },
      id: 2,
    });
    fixture.socket.give(push(6));
    assert.equal(fixture.client.counts.strays, 1);
    fixture.socket.answer({ topic: "t", offset: 6, recovered: true });
    fixture.socket.give(push(6));
    assert.deepEqual(seen.slice(1), ["push 6"]);
    fixture.client.close();
  });

  it("reports what is missing if the gateway cannot recover it, then the state", () => {
    const { fixture, seen } = following(true);
    fixture.socket.answer({ topic: "t", offset: 5, data: [{ key: "a", data: 1 }] });
    reconnect(fixture);
    fixture.socket.answer({ topic: "t", offset: 9, data: [{ key: "b", data: 2 }] });
    reconnect(fixture);
    fixture.socket.answer({ topic: "t", epoch: "f", offset: 2, recovered: true });
    assert.deepEqual(seen, ["state e:5 a", "reset missed 5-9", "state e:9 b", "reset renumbered 9-2", "state f:2 "]);
    fixture.client.close();
  });

  it("handles a reset", () => {
    const { fixture, seen } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.socket.give({ event: "reset", topic: "t", epoch: "f", offset: 0, data: [] });
    fixture.socket.give(push(1));
    assert.deepEqual(seen.slice(1), ["reset renumbered 5-0", "state f:0 ", "push 1"]);
    fixture.client.close();
  });

  it("does not ask in a tight loop when recovery does not help", () => {
    const { fixture } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    for (let round = 0; round < 10; round++) {
      fixture.socket.give(push(8));
      fixture.socket.answer({ topic: "t", offset: 8, recovered: true });
    }
    assert.equal(fixture.socket.sent.length, 2);
    fixture.clock.advance(2000);
    assert.equal(fixture.socket.sent.length, 3);
    fixture.client.close();
  });

  it("drops a connection whose recovery never brings the promised pushes, but not one that is slow", () => {
    for (const slow of [false, true]) {
      const { fixture, seen } = following();
      fixture.socket.answer({ topic: "t", offset: 5 });
      fixture.socket.give(push(50));
      fixture.socket.answer({ topic: "t", offset: 50, recovered: true });
      const first = fixture.socket;
      for (let second = 1; second <= 60; second++) {
        fixture.clock.advance(1000);
        first.give({ reqtype: "Heartbeat", code: 0 });
        if (slow && second % 2 === 0) first.give(push(5 + second / 2));
      }
      assert.equal(fixture.states.includes("waiting"), !slow);
      assert.equal(seen.filter((text) => text.startsWith("push")).length, slow ? 30 : 0);
      fixture.client.close();
    }
  });

  it("expects no promised pushes after a reset", () => {
    const { fixture } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.socket.give(push(50));
    fixture.socket.answer({ topic: "t", offset: 50, recovered: true });
    fixture.socket.give({ event: "reset", topic: "t", epoch: "f", offset: 1, data: [] });
    for (let second = 1; second <= 60; second++) {
      fixture.clock.advance(1000);
      fixture.socket.give({ reqtype: "Heartbeat", code: 0 });
    }
    assert.equal(fixture.client.state, "open");
    fixture.client.close();
  });

  it("asks again later when the hub is away", () => {
    const { fixture, seen } = following();
    fixture.socket.give({ reqtype: "Subscribe", id: 1, code: 4006, error: "the hub is away" });
    assert.equal(fixture.socket.sent.length, 1);
    fixture.clock.advance(2000);
    assert.equal(fixture.socket.sent.length, 2);
    fixture.socket.answer({ topic: "t", offset: 0 });
    assert.deepEqual(seen, ["state e:0 "]);
    fixture.client.close();
  });

  it("asks again for all topics that were refused, once, and not across connections", () => {
    const fixture = new Fixture();
    for (const topic of ["t", "u"]) fixture.client.subscribe(topic);
    fixture.socket.open();
    const away = (id: number): void => fixture.socket.give({ id, code: 4006, error: "the hub is away" });
    away(1);
    fixture.clock.advance(1500);
    away(2);
    fixture.clock.advance(500);
    assert.equal(fixture.socket.sent.length, 4, "the second refusal does not postpone the first");
    away(3);
    fixture.socket.answer({ topic: "u", offset: 0 });
    reconnect(fixture);
    assert.equal(fixture.socket.sent.length, 2);
    fixture.socket.answer({ topic: "u", offset: 0 });
    fixture.clock.advance(5000);
    assert.equal(fixture.socket.sent.length, 2);
    fixture.socket.give({ event: "dropped", topic: "u", from: 1, to: 1 });
    away(7);
    fixture.clock.advance(5000);
    assert.equal(fixture.socket.sent.length, 4);
    fixture.client.close();
  });

  for (const code of [4002, 4003]) {
    it(`ends that subscription alone on ${code}, with an error`, () => {
      const { fixture, seen } = following();
      const other = fixture.client.subscribe("u");
      const errors: unknown[] = [];
      fixture.client.on("error", (event) => errors.push(event));
      fixture.socket.give({ reqtype: "Subscribe", id: 1, code, error: "no" });
      assert.deepEqual([seen, errors], [[`refused ${code}`], [{ code, error: "no", topic: "t" }]]);
      reconnect(fixture);
      assert.deepEqual(
        fixture.socket.sent.map(({ topic }) => topic),
        ["u"],
      );
      assert.equal(other.closed, false);
      fixture.client.close();
      assert.equal(other.closed, true);
    });
  }

  it("reports degraded, restored and refusals without an id; counts messages that it does not know", () => {
    const { fixture } = following();
    const events: string[] = [];
    fixture.client.on("degraded", () => events.push("degraded"));
    fixture.client.on("restored", () => events.push("restored"));
    fixture.client.on("error", ({ code }) => events.push(`error ${code}`));
    fixture.socket.give({ event: "degraded" });
    fixture.socket.give({ event: "restored" });
    fixture.socket.give({ code: 4000, error: "not JSON" });
    for (const text of ["pong", "{", "[]", '{"event":"new"}', '{"topic":"t"}']) fixture.socket.give(text);
    assert.deepEqual([events, fixture.client.counts.unknown], [["degraded", "restored", "error 4000"], 5]);
    fixture.client.close();
  });
});
