/** How a silent connection is found, what a page's signals do, and that nothing is left after close(). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { opened, Place } from "./fixture.js";

describe("client heartbeat", () => {
  it("is sent only when idle, with jitter, and any message answers it", () => {
    const place = opened({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
    place.random = 1;
    place.socket.give({ reqtype: "Heartbeat", code: 0 });
    assert.equal(place.clock.pending.length, 1);
    place.clock.advance(10_000);
    place.socket.give({ topic: "t", offset: 6, data: 1 });
    place.clock.advance(10_000);
    assert.equal(place.socket.heartbeats, 0, "not idle");
    place.clock.advance(5000);
    assert.equal(place.socket.heartbeats, 1, "three quarters of 20 s after the last message");
    place.clock.advance(4999);
    place.socket.give({ topic: "t", offset: 7, data: 1 });
    place.clock.advance(1);
    assert.equal(place.client.state, "open");
    place.client.close();
  });

  it("finds a dead connection: no message in time, and it reconnects", () => {
    const place = opened({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
    place.clock.advance(17_500);
    assert.equal(place.socket.heartbeats, 1);
    place.clock.advance(4999);
    assert.equal(place.client.state, "open");
    place.clock.advance(1);
    assert.equal(place.client.state, "waiting");
    assert.equal(place.sockets[0]?.closedWith, 1005);
    place.client.close();
  });

  it("finds a subscription that is never answered although heartbeats are", () => {
    const place = new Place({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
    place.client.subscribe("t");
    place.socket.open();
    for (let second = 0; second < 30; second++) {
      place.sockets[0]?.give({ reqtype: "Heartbeat", code: 0 });
      place.clock.advance(1000);
    }
    assert.deepEqual(place.states.slice(0, 3), ["connecting", "open", "waiting"]);
    place.client.close();
  });

  it("is as seldom as the gateway asks, for this connection, and requests without an answer are found as soon as before", () => {
    const place = opened();
    place.socket.give({ event: "retry", reconnect: { afterMs: [0, 8000] }, heartbeatMs: 100_000 });
    place.random = 0;
    place.clock.advance(22_000);
    // The one that was under way when the gateway spoke.
    place.socket.give({ reqtype: "Heartbeat", code: 0 });
    const before = place.socket.heartbeats;
    place.clock.advance(99_000);
    assert.equal(place.socket.heartbeats, before);
    place.clock.advance(2000);
    assert.equal(place.socket.heartbeats, before + 1);
    place.socket.give({ reqtype: "Heartbeat", code: 0 });
    place.client.subscribe("u");
    place.clock.advance(10_000);
    place.socket.give({ topic: "t", offset: 6, data: 1 });
    place.clock.advance(41_000);
    assert.ok(place.states.includes("waiting"), "u was never answered");
    place.client.close();
  });

  it("keeps the interval that its author gave, and ignores nonsense", () => {
    for (const [options, heartbeatMs] of [
      [{ heartbeatMs: 20_000 }, 100_000],
      [{}, 0],
      [{}, -5],
      [{}, "100000"],
      [{}, 1e12],
      [{}, null],
    ] as const) {
      const place = opened(options);
      place.socket.give({ event: "retry", reconnect: { afterMs: [0, 2000] }, heartbeatMs });
      place.clock.advance(25_000);
      assert.equal(place.socket.heartbeats, 1, String(heartbeatMs));
      place.client.close();
    }
  });

  it("stops with the connection", () => {
    const place = opened({ heartbeatMs: 20_000 });
    place.socket.end(1006);
    assert.equal(place.clock.pending.length, 1, "only the reconnect");
    place.client.close();
  });
});

describe("client page", () => {
  it("visible: checks an open connection", () => {
    const place = opened({ answerTimeoutMs: 5000 });
    place.document.visibilityState = "hidden";
    place.document.fire("visibilitychange");
    assert.equal(place.socket.heartbeats, 0);
    place.document.visibilityState = "visible";
    place.clock.advance(10);
    place.document.fire("visibilitychange");
    assert.equal(place.socket.heartbeats, 1);
    place.clock.advance(5000);
    assert.equal(place.client.state, "waiting");
    place.client.close();
  });

  it("visible or online: cuts its own wait short, but not the gateway's window", () => {
    for (const signal of ["visibilitychange", "online"]) {
      const place = opened();
      const fire = (): void => (signal === "online" ? place.window.fire(signal) : place.document.fire(signal));
      place.socket.end(1006);
      fire();
      assert.deepEqual(place.clock.pending, [0]);
      place.clock.advance(0);
      place.socket.open();
      place.socket.give({ event: "goodbye", reason: "drain", reconnect: { afterMs: [8000, 8000] } });
      place.socket.end(1012);
      place.clock.advance(3000);
      fire();
      assert.deepEqual(place.clock.pending, [5000]);
      place.client.close();
    }
  });

  it("offline: tries at the slowest pace, and at once when it is online", () => {
    const place = opened({ capMs: 20_000 });
    place.socket.end(1006);
    assert.deepEqual(place.clock.pending, [500]);
    place.window.fire("offline");
    assert.deepEqual(place.clock.pending, [15_000]);
    place.window.fire("online");
    place.clock.advance(0);
    place.window.fire("offline");
    const delays: unknown[] = [];
    place.client.on("state", ({ to, delayMs, offline }) => delays.push([to, delayMs, offline]));
    place.socket.end(1006);
    assert.deepEqual([delays, place.clock.pending], [[["waiting", 15_000, true]], [15_000]]);
    place.window.fire("online");
    place.clock.advance(0);
    assert.equal(place.sockets.length, 3);
    place.client.close();
  });

  it("offline, and online never comes: it is back with the next attempt, or when the page becomes visible", () => {
    for (const isVisible of [false, true]) {
      const place = opened({ capMs: 20_000 });
      place.window.fire("offline");
      place.socket.end(1006);
      if (isVisible) place.document.fire("visibilitychange");
      else place.clock.advance(14_999);
      assert.equal(place.sockets.length, 1);
      place.clock.advance(isVisible ? 0 : 1);
      place.socket.end(1006);
      assert.deepEqual(place.clock.pending, [15_000], "still offline as far as is known");
      place.clock.advance(15_000);
      place.socket.open();
      assert.equal(place.client.state, "open");
      place.socket.end(1006);
      assert.ok(place.clock.pending[0]! <= 4000, "the page was wrong");
      place.client.close();
    }
  });

  it("offline and visible: never before the gateway's window", () => {
    const place = opened({ capMs: 2000 });
    place.window.fire("offline");
    place.socket.give({ event: "goodbye", reason: "drain", reconnect: { afterMs: [8000, 8000] } });
    place.socket.end(1012);
    place.document.fire("visibilitychange");
    assert.deepEqual(place.clock.pending, [8000]);
    place.client.close();
  });
});

describe("client close", () => {
  const moments: Record<string, (place: Place) => void> = {
    idle: () => undefined,
    connecting: (place) => void place.client.subscribe("t"),
    open: (place) => {
      place.client.subscribe("t");
      place.socket.open();
    },
    waiting: (place) => {
      place.client.subscribe("t");
      place.socket.end(1006);
    },
  };
  for (const [moment, bring] of Object.entries(moments)) {
    it(`while ${moment}: no timer, no listener and no subscription is left`, () => {
      const place = new Place();
      bring(place);
      assert.equal(place.client.state, moment);
      place.client.close();
      place.client.close();
      assert.deepEqual([place.client.state, place.clock.pending], ["closed", []]);
      assert.equal(place.document.listeners.size + place.window.listeners.size, 0);
      place.sockets[0]?.open();
      place.sockets[0]?.end(1006);
      assert.deepEqual([place.client.state, place.clock.pending], ["closed", []]);
    });
  }

  it("in the middle of any event", () => {
    for (const state of ["connecting", "open", "waiting"]) {
      const place = new Place();
      place.client.on("state", ({ to }) => {
        if (to === state) place.client.close();
      });
      place.client.subscribe("t");
      if (state !== "connecting") place.socket.open();
      if (state === "waiting") place.socket.end(1006);
      assert.deepEqual([place.client.state, place.clock.pending], ["closed", []], state);
    }
  });
});
