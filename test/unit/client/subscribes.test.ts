/** What a subscription hears: a start, then every push once and in order, or a reset that says what is missing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { following, Place, push, reconnect } from "./fixture.js";

describe("client subscribes", () => {
  it("and hears a start, then pushes; duplicates are dropped and counted", () => {
    const { place, heard } = following();
    assert.deepEqual(place.socket.asked, { reqtype: "Subscribe", topic: "t", id: 1 });
    place.socket.give(push(5));
    place.socket.answer({ topic: "t", offset: 5 });
    for (const offset of [6, 6, 5, 7]) place.socket.give(push(offset));
    assert.deepEqual(heard, ["state e:5 ", "push 6", "push 7"]);
    assert.deepEqual([place.client.counts.duplicates, place.client.counts.strays], [2, 1]);
    place.client.close();
  });

  it("believes prev: numbers may be left out", () => {
    const { place, heard } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.socket.give(push(9, { prev: 5 }));
    assert.deepEqual(heard.slice(1), ["push 9"]);
    place.client.close();
  });

  it("asks for what a gap left out, once, and goes on in order", () => {
    const { place, heard } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.socket.give(push(8));
    place.socket.give(push(9));
    const { sent } = place.socket;
    assert.equal(sent.length, 2);
    assert.deepEqual(sent[1], { reqtype: "Subscribe", topic: "t", since: { epoch: "e", offset: 5 }, id: 2 });
    place.socket.answer({ topic: "t", offset: 9, recovered: true });
    for (const offset of [6, 7, 8, 9, 10]) place.socket.give(push(offset));
    assert.deepEqual(heard.slice(1), ["gap 6-7", "push 6", "push 7", "push 8", "push 9", "push 10"]);
    assert.equal(place.client.counts.resets, 0);
    place.client.close();
  });

  it("asks for what the gateway says it dropped, unless it came after all", () => {
    const { place, heard } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.socket.give({ event: "dropped", topic: "t", from: 3, to: 5 });
    assert.equal(place.socket.sent.length, 1);
    place.socket.give({ event: "dropped", topic: "t", from: 6, to: 7 });
    assert.deepEqual([heard.slice(1), place.socket.sent.length], [["gap 6-7"], 2]);
    place.client.close();
  });

  it("asks since its position on a new connection, where no push counts before the answer", () => {
    const { place, heard } = following(true);
    place.socket.answer({ topic: "t", offset: 5 });
    reconnect(place);
    assert.deepEqual(place.socket.asked, { reqtype: "Subscribe", topic: "t", since: { epoch: "e", offset: 5 }, id: 2 });
    place.socket.give(push(6));
    assert.equal(place.client.counts.strays, 1);
    place.socket.answer({ topic: "t", offset: 6, recovered: true });
    place.socket.give(push(6));
    assert.deepEqual(heard.slice(1), ["push 6"]);
    place.client.close();
  });

  it("says what is missing when the gateway could not recover it, then gives the state", () => {
    const { place, heard } = following(true);
    place.socket.answer({ topic: "t", offset: 5, data: [{ key: "a", data: 1 }] });
    reconnect(place);
    place.socket.answer({ topic: "t", offset: 9, data: [{ key: "b", data: 2 }] });
    reconnect(place);
    place.socket.answer({ topic: "t", epoch: "f", offset: 2, recovered: true });
    assert.deepEqual(heard, ["state e:5 a", "reset missed 5-9", "state e:9 b", "reset renumbered 9-2", "state f:2 "]);
    place.client.close();
  });

  it("takes a reset", () => {
    const { place, heard } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.socket.give({ event: "reset", topic: "t", epoch: "f", offset: 0, data: [] });
    place.socket.give(push(1));
    assert.deepEqual(heard.slice(1), ["reset renumbered 5-0", "state f:0 ", "push 1"]);
    place.client.close();
  });

  it("does not ask in a tight loop when recovery does not help", () => {
    const { place } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    for (let round = 0; round < 10; round++) {
      place.socket.give(push(8));
      place.socket.answer({ topic: "t", offset: 8, recovered: true });
    }
    assert.equal(place.socket.sent.length, 2);
    place.clock.advance(2000);
    assert.equal(place.socket.sent.length, 3);
    place.client.close();
  });

  it("gives up a connection whose recovery never brings what it promised, but not one that is slow", () => {
    for (const slow of [false, true]) {
      const { place, heard } = following();
      place.socket.answer({ topic: "t", offset: 5 });
      place.socket.give(push(50));
      place.socket.answer({ topic: "t", offset: 50, recovered: true });
      const first = place.socket;
      for (let second = 1; second <= 60; second++) {
        place.clock.advance(1000);
        first.give({ reqtype: "Heartbeat", code: 0 });
        if (slow && second % 2 === 0) first.give(push(5 + second / 2));
      }
      assert.equal(place.states.includes("waiting"), !slow);
      assert.equal(heard.filter((text) => text.startsWith("push")).length, slow ? 30 : 0);
      place.client.close();
    }
  });

  it("is not owed anything any more after a reset", () => {
    const { place } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.socket.give(push(50));
    place.socket.answer({ topic: "t", offset: 50, recovered: true });
    place.socket.give({ event: "reset", topic: "t", epoch: "f", offset: 1, data: [] });
    for (let second = 1; second <= 60; second++) {
      place.clock.advance(1000);
      place.socket.give({ reqtype: "Heartbeat", code: 0 });
    }
    assert.equal(place.client.state, "open");
    place.client.close();
  });

  it("asks again later when the hub is away", () => {
    const { place, heard } = following();
    place.socket.give({ reqtype: "Subscribe", id: 1, code: 4006, error: "the hub is away" });
    assert.equal(place.socket.sent.length, 1);
    place.clock.advance(2000);
    assert.equal(place.socket.sent.length, 2);
    place.socket.answer({ topic: "t", offset: 0 });
    assert.deepEqual(heard, ["state e:0 "]);
    place.client.close();
  });

  it("asks again for all topics that were refused, once, and not across connections", () => {
    const place = new Place();
    for (const topic of ["t", "u"]) place.client.subscribe(topic);
    place.socket.open();
    const away = (id: number): void => place.socket.give({ id, code: 4006, error: "the hub is away" });
    away(1);
    place.clock.advance(1500);
    away(2);
    place.clock.advance(500);
    assert.equal(place.socket.sent.length, 4, "the second refusal does not postpone the first");
    away(3);
    place.socket.answer({ topic: "u", offset: 0 });
    reconnect(place);
    assert.equal(place.socket.sent.length, 2);
    place.socket.answer({ topic: "u", offset: 0 });
    place.clock.advance(5000);
    assert.equal(place.socket.sent.length, 2);
    place.socket.give({ event: "dropped", topic: "u", from: 1, to: 1 });
    away(7);
    place.clock.advance(5000);
    assert.equal(place.socket.sent.length, 4);
    place.client.close();
  });

  for (const code of [4002, 4003]) {
    it(`ends that subscription alone on ${code}, with an error`, () => {
      const { place, heard } = following();
      const other = place.client.subscribe("u");
      const errors: unknown[] = [];
      place.client.on("error", (event) => errors.push(event));
      place.socket.give({ reqtype: "Subscribe", id: 1, code, error: "no" });
      assert.deepEqual([heard, errors], [[`refused ${code}`], [{ code, error: "no", topic: "t" }]]);
      reconnect(place);
      assert.deepEqual(
        place.socket.sent.map(({ topic }) => topic),
        ["u"],
      );
      assert.equal(other.closed, false);
      place.client.close();
      assert.equal(other.closed, true);
    });
  }

  it("tells degraded, restored and refusals of nothing in particular; counts what it does not understand", () => {
    const { place } = following();
    const events: string[] = [];
    place.client.on("degraded", () => events.push("degraded"));
    place.client.on("restored", () => events.push("restored"));
    place.client.on("error", ({ code }) => events.push(`error ${code}`));
    place.socket.give({ event: "degraded" });
    place.socket.give({ event: "restored" });
    place.socket.give({ code: 4000, error: "not JSON" });
    for (const text of ["pong", "{", "[]", '{"event":"new"}', '{"topic":"t"}']) place.socket.give(text);
    assert.deepEqual([events, place.client.counts.unknown], [["degraded", "restored", "error 4000"], 5]);
    place.client.close();
  });
});
