/** Keyed state from the start or from later on, and several subscriptions of one topic. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Fixture, following, push, recorder, settled } from "./fixture.js";

describe("client snapshot", () => {
  it("is queried the first time; pushes keep it; null deletes", () => {
    const fixture = new Fixture();
    const subscription = fixture.client.subscribe("t", { snapshot: true });
    fixture.socket.open();
    assert.deepEqual(fixture.socket.asked, { reqtype: "Query", action: "allt", id: 1 });
    assert.deepEqual([subscription.position, subscription.state.size], [undefined, 0]);
    const rows = ["a", "b"].map((key) => ({ key, data: 1 }));
    fixture.socket.answer({ topic: "t", offset: 5, data: rows });
    fixture.socket.give(push(6, { key: "a", data: null }));
    fixture.socket.give(push(7, { key: "c", data: 3 }));
    fixture.socket.give(push(8));
    assert.deepEqual(
      [...subscription.state],
      [
        ["b", 1],
        ["c", 3],
      ],
    );
    assert.deepEqual(subscription.position, { epoch: "e", offset: 8 });
    fixture.client.close();
  });

  it("falls back to Subscribe if the gateway does not know Query", () => {
    const { fixture, seen } = following(true);
    fixture.socket.give({ reqtype: "Query", id: 1, code: 4001, error: "reqtype must be …" });
    assert.deepEqual(fixture.socket.asked, { reqtype: "Subscribe", topic: "t", id: 2 });
    fixture.socket.answer({ topic: "t", offset: 5 });
    assert.deepEqual(seen, ["state e:5 "]);
    fixture.client.close();
  });

  it("of a later subscription disturbs no earlier one", async () => {
    const { fixture, seen } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    const late = fixture.client.subscribe("t", { ...recorder(seen, "late "), snapshot: true });
    await settled();
    assert.equal(fixture.socket.asked?.reqtype, "Query");
    fixture.socket.give(push(6, { key: "a" }));
    fixture.socket.answer({ topic: "t", offset: 6, data: [{ key: "a", data: 1 }] });
    fixture.socket.give(push(7));
    assert.deepEqual(seen.slice(1), ["push 6 a", "late state e:6 a", "push 7", "late push 7"]);
    assert.equal(late.state.get("a"), 1);
    fixture.client.close();
  });

  it("of a later subscription is not used if it is older than the position, and resets if it is newer", async () => {
    const { fixture, seen } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.client.subscribe("t", { ...recorder(seen, "late "), snapshot: true });
    await settled();
    fixture.socket.answer({ topic: "t", offset: 4, data: [{ key: "old", data: 1 }] });
    fixture.clock.advance(2000);
    fixture.socket.answer({ topic: "t", offset: 5, recovered: true });
    assert.equal(fixture.socket.asked?.reqtype, "Query");
    fixture.socket.answer({ topic: "t", offset: 8, data: [{ key: "new", data: 1 }] });
    assert.deepEqual(seen.slice(1), ["reset missed 5-8", "state e:8 new", "late state e:8 new"]);
    fixture.client.close();
  });

  it("is not taken for whole because of a reset before it was tracked", async () => {
    const { fixture } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.socket.give({ event: "reset", topic: "t", epoch: "f", offset: 0, data: [{ key: "a", data: 1 }] });
    fixture.client.subscribe("t", { snapshot: true });
    await settled();
    assert.equal(fixture.socket.asked?.reqtype, "Query");
    fixture.client.close();
  });
});

describe("client shares", () => {
  it("one server subscription among several of a topic, and leaves with the last", async () => {
    const { fixture, seen } = following();
    fixture.socket.answer({ topic: "t", offset: 5 });
    fixture.socket.give(push(6));
    const second = fixture.client.subscribe("t", recorder(seen, "2nd "));
    assert.equal(fixture.socket.sent.length, 1);
    await settled();
    fixture.socket.give(push(7));
    assert.deepEqual(seen, ["state e:5 ", "push 6", "2nd state e:6 ", "push 7", "2nd push 7"]);
    second.close();
    second.close();
    fixture.socket.give(push(8));
    assert.deepEqual([seen.at(-1), fixture.socket.sent.length], ["push 8", 1]);
    fixture.client.close();
  });

  it("unsubscribes when the last one closes, but only after the answer that is on the way", () => {
    const fixture = new Fixture();
    const first = fixture.client.subscribe("t");
    const second = fixture.client.subscribe("u");
    fixture.socket.open();
    fixture.socket.answer({ topic: "u", offset: 0 });
    second.close();
    assert.deepEqual(fixture.socket.asked, { reqtype: "Unsubscribe", topic: "u" });
    first.close();
    assert.equal(fixture.socket.sent.length, 3, "not yet");
    fixture.socket.give({ reqtype: "Subscribe", id: 1, code: 0, topic: "t", epoch: "e", offset: 0, data: [] });
    assert.deepEqual(fixture.socket.asked, { reqtype: "Unsubscribe", topic: "t" });
    fixture.client.close();
  });

  it("closing inside a listener ends the events at once, also for the next subscription", () => {
    const fixture = new Fixture();
    const seen: string[] = [];
    fixture.client.subscribe("t", {
      onPush: () => {
        seen.push("first");
        second.close();
      },
    });
    const second = fixture.client.subscribe("t", { onPush: () => seen.push("second") });
    fixture.socket.open();
    fixture.socket.answer({ topic: "t", offset: 0 });
    fixture.socket.give(push(1));
    assert.deepEqual(seen, ["first"]);
    fixture.client.close();
  });

  it("a listener that closes its subscription on a gap is not subscribed again", () => {
    const fixture = new Fixture();
    const subscription = fixture.client.subscribe("t", { onGap: () => subscription.close() });
    fixture.socket.open();
    fixture.socket.answer({ topic: "t", offset: 0 });
    fixture.socket.give(push(2));
    fixture.socket.answer({ topic: "t", offset: 2, recovered: true });
    assert.deepEqual(fixture.socket.asked, { reqtype: "Unsubscribe", topic: "t" });
    fixture.client.close();
  });
});
