/** Keyed state from the start or wanted later, and several subscriptions of one topic. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { following, Place, push, recorder, settled } from "./fixture.js";

describe("client snapshot", () => {
  it("is queried the first time; pushes keep it; null deletes", () => {
    const place = new Place();
    const subscription = place.client.subscribe("t", { snapshot: true });
    place.socket.open();
    assert.deepEqual(place.socket.asked, { reqtype: "Query", action: "allt", id: 1 });
    assert.deepEqual([subscription.position, subscription.state.size], [undefined, 0]);
    const rows = ["a", "b"].map((key) => ({ key, data: 1 }));
    place.socket.answer({ topic: "t", offset: 5, data: rows });
    place.socket.give(push(6, { key: "a", data: null }));
    place.socket.give(push(7, { key: "c", data: 3 }));
    place.socket.give(push(8));
    assert.deepEqual(
      [...subscription.state],
      [
        ["b", 1],
        ["c", 3],
      ],
    );
    assert.deepEqual(subscription.position, { epoch: "e", offset: 8 });
    place.client.close();
  });

  it("falls back to Subscribe where Query is not known", () => {
    const { place, heard } = following(true);
    place.socket.give({ reqtype: "Query", id: 1, code: 4001, error: "reqtype must be …" });
    assert.deepEqual(place.socket.asked, { reqtype: "Subscribe", topic: "t", id: 2 });
    place.socket.answer({ topic: "t", offset: 5 });
    assert.deepEqual(heard, ["state e:5 "]);
    place.client.close();
  });

  it("that is wanted later disturbs nobody who is there already", async () => {
    const { place, heard } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    const late = place.client.subscribe("t", { ...recorder(heard, "late "), snapshot: true });
    await settled();
    assert.equal(place.socket.asked?.reqtype, "Query");
    place.socket.give(push(6, { key: "a" }));
    place.socket.answer({ topic: "t", offset: 6, data: [{ key: "a", data: 1 }] });
    place.socket.give(push(7));
    assert.deepEqual(heard.slice(1), ["push 6 a", "late state e:6 a", "push 7", "late push 7"]);
    assert.equal(late.state.get("a"), 1);
    place.client.close();
  });

  it("that is wanted later is not believed when it is older than what was seen, and resets when it is newer", async () => {
    const { place, heard } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.client.subscribe("t", { ...recorder(heard, "late "), snapshot: true });
    await settled();
    place.socket.answer({ topic: "t", offset: 4, data: [{ key: "old", data: 1 }] });
    place.clock.advance(2000);
    place.socket.answer({ topic: "t", offset: 5, recovered: true });
    assert.equal(place.socket.asked?.reqtype, "Query");
    place.socket.answer({ topic: "t", offset: 8, data: [{ key: "new", data: 1 }] });
    assert.deepEqual(heard.slice(1), ["reset missed 5-8", "state e:8 new", "late state e:8 new"]);
    place.client.close();
  });

  it("is not believed whole because a reset came before it was wanted", async () => {
    const { place } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.socket.give({ event: "reset", topic: "t", epoch: "f", offset: 0, data: [{ key: "a", data: 1 }] });
    place.client.subscribe("t", { snapshot: true });
    await settled();
    assert.equal(place.socket.asked?.reqtype, "Query");
    place.client.close();
  });
});

describe("client shares", () => {
  it("one server subscription among several of a topic, and leaves with the last", async () => {
    const { place, heard } = following();
    place.socket.answer({ topic: "t", offset: 5 });
    place.socket.give(push(6));
    const second = place.client.subscribe("t", recorder(heard, "2nd "));
    assert.equal(place.socket.sent.length, 1);
    await settled();
    place.socket.give(push(7));
    assert.deepEqual(heard, ["state e:5 ", "push 6", "2nd state e:6 ", "push 7", "2nd push 7"]);
    second.close();
    second.close();
    place.socket.give(push(8));
    assert.deepEqual([heard.at(-1), place.socket.sent.length], ["push 8", 1]);
    place.client.close();
  });

  it("unsubscribes when the last one closes, but only after the answer that is on the way", () => {
    const place = new Place();
    const first = place.client.subscribe("t");
    const second = place.client.subscribe("u");
    place.socket.open();
    place.socket.answer({ topic: "u", offset: 0 });
    second.close();
    assert.deepEqual(place.socket.asked, { reqtype: "Unsubscribe", topic: "u" });
    first.close();
    assert.equal(place.socket.sent.length, 3, "not yet");
    place.socket.give({ reqtype: "Subscribe", id: 1, code: 0, topic: "t", epoch: "e", offset: 0, data: [] });
    assert.deepEqual(place.socket.asked, { reqtype: "Unsubscribe", topic: "t" });
    place.client.close();
  });

  it("closing inside a listener ends the hearing at once, also of a subscription behind it", () => {
    const place = new Place();
    const heard: string[] = [];
    place.client.subscribe("t", {
      onPush: () => {
        heard.push("first");
        second.close();
      },
    });
    const second = place.client.subscribe("t", { onPush: () => heard.push("second") });
    place.socket.open();
    place.socket.answer({ topic: "t", offset: 0 });
    place.socket.give(push(1));
    assert.deepEqual(heard, ["first"]);
    place.client.close();
  });

  it("a listener that closes its subscription on a gap is not subscribed again", () => {
    const place = new Place();
    const subscription = place.client.subscribe("t", { onGap: () => subscription.close() });
    place.socket.open();
    place.socket.answer({ topic: "t", offset: 0 });
    place.socket.give(push(2));
    place.socket.answer({ topic: "t", offset: 2, recovered: true });
    assert.deepEqual(place.socket.asked, { reqtype: "Unsubscribe", topic: "t" });
    place.client.close();
  });
});
