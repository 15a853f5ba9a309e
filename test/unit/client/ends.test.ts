/** How a dead connection is found, what a page's events do, and that nothing is left after close(). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Fixture, opened } from "./fixture.js";

describe("client heartbeat", () => {
  it("is sent only when idle, with jitter, and any message answers it", () => {
    const fixture = opened({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
    fixture.random = 1;
    fixture.socket.give({ reqtype: "Heartbeat", code: 0 });
    assert.equal(fixture.clock.pending.length, 1);
    fixture.clock.advance(10_000);
    fixture.socket.give({ topic: "t", offset: 6, data: 1 });
    fixture.clock.advance(10_000);
    assert.equal(fixture.socket.heartbeats, 0, "not idle");
    fixture.clock.advance(5000);
    assert.equal(fixture.socket.heartbeats, 1, "three quarters of 20 s after the last message");
    fixture.clock.advance(4999);
    fixture.socket.give({ topic: "t", offset: 7, data: 1 });
    fixture.clock.advance(1);
    assert.equal(fixture.client.state, "open");
    fixture.client.close();
  });

  it("finds a dead connection: no message in time, and it reconnects", () => {
    const fixture = opened({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
    fixture.clock.advance(17_500);
    assert.equal(fixture.socket.heartbeats, 1);
    fixture.clock.advance(4999);
    assert.equal(fixture.client.state, "open");
    fixture.clock.advance(1);
    assert.equal(fixture.client.state, "waiting");
    assert.equal(fixture.sockets[0]?.closedWith, 1005);
    fixture.client.close();
  });

  it("finds a subscription that is never answered although heartbeats are", () => {
    const fixture = new Fixture({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
    fixture.client.subscribe("t");
    fixture.socket.open();
    for (let second = 0; second < 30; second++) {
      fixture.sockets[0]?.give({ reqtype: "Heartbeat", code: 0 });
      fixture.clock.advance(1000);
    }
    assert.deepEqual(fixture.states.slice(0, 3), ["connecting", "open", "waiting"]);
    fixture.client.close();
  });

  it("is as rare as the gateway asks, for this connection; requests without an answer are found as soon as before", () => {
    const fixture = opened();
    fixture.socket.give({ event: "retry", reconnect: { afterMs: [0, 8000] }, heartbeatMs: 100_000 });
    fixture.random = 0;
    fixture.clock.advance(22_000);
    // The interval that had begun when the gateway asked.
    fixture.socket.give({ reqtype: "Heartbeat", code: 0 });
    const before = fixture.socket.heartbeats;
    fixture.clock.advance(99_000);
    assert.equal(fixture.socket.heartbeats, before);
    fixture.clock.advance(2000);
    assert.equal(fixture.socket.heartbeats, before + 1);
    fixture.socket.give({ reqtype: "Heartbeat", code: 0 });
    fixture.client.subscribe("u");
    fixture.clock.advance(10_000);
    fixture.socket.give({ topic: "t", offset: 6, data: 1 });
    fixture.clock.advance(41_000);
    assert.ok(fixture.states.includes("waiting"), "u was never answered");
    fixture.client.close();
  });

  it("keeps a configured interval, and ignores nonsense", () => {
    for (const [options, heartbeatMs] of [
      [{ heartbeatMs: 20_000 }, 100_000],
      [{}, 0],
      [{}, -5],
      [{}, "100000"],
      [{}, 1e12],
      [{}, null],
    ] as const) {
      const fixture = opened(options);
      fixture.socket.give({ event: "retry", reconnect: { afterMs: [0, 2000] }, heartbeatMs });
      fixture.clock.advance(25_000);
      assert.equal(fixture.socket.heartbeats, 1, String(heartbeatMs));
      fixture.client.close();
    }
  });

  it("stops with the connection", () => {
    const fixture = opened({ heartbeatMs: 20_000 });
    fixture.socket.end(1006);
    assert.equal(fixture.clock.pending.length, 1, "only the reconnect");
    fixture.client.close();
  });
});

describe("client page", () => {
  it("visible: checks an open connection", () => {
    const fixture = opened({ answerTimeoutMs: 5000 });
    fixture.document.visibilityState = "hidden";
    fixture.document.fire("visibilitychange");
    assert.equal(fixture.socket.heartbeats, 0);
    fixture.document.visibilityState = "visible";
    fixture.clock.advance(10);
    fixture.document.fire("visibilitychange");
    assert.equal(fixture.socket.heartbeats, 1);
    fixture.clock.advance(5000);
    assert.equal(fixture.client.state, "waiting");
    fixture.client.close();
  });

  it("visible or online: cuts its own wait short, but not the gateway's window", () => {
    for (const signal of ["visibilitychange", "online"]) {
      const fixture = opened();
      const fire = (): void => (signal === "online" ? fixture.window.fire(signal) : fixture.document.fire(signal));
      fixture.socket.end(1006);
      fire();
      assert.deepEqual(fixture.clock.pending, [0]);
      fixture.clock.advance(0);
      fixture.socket.open();
      fixture.socket.give({ event: "goodbye", reason: "drain", reconnect: { afterMs: [8000, 8000] } });
      fixture.socket.end(1012);
      fixture.clock.advance(3000);
      fire();
      assert.deepEqual(fixture.clock.pending, [5000]);
      fixture.client.close();
    }
  });

  it("offline: tries rarely, and at once when it is online", () => {
    const fixture = opened({ capMs: 20_000 });
    fixture.socket.end(1006);
    assert.deepEqual(fixture.clock.pending, [500]);
    fixture.window.fire("offline");
    assert.deepEqual(fixture.clock.pending, [15_000]);
    fixture.window.fire("online");
    fixture.clock.advance(0);
    fixture.window.fire("offline");
    const delays: unknown[] = [];
    fixture.client.on("state", ({ to, delayMs, offline }) => delays.push([to, delayMs, offline]));
    fixture.socket.end(1006);
    assert.deepEqual([delays, fixture.clock.pending], [[["waiting", 15_000, true]], [15_000]]);
    fixture.window.fire("online");
    fixture.clock.advance(0);
    assert.equal(fixture.sockets.length, 3);
    fixture.client.close();
  });

  it("offline without a later online: it reconnects with the next attempt, or when the page becomes visible", () => {
    for (const isVisible of [false, true]) {
      const fixture = opened({ capMs: 20_000 });
      fixture.window.fire("offline");
      fixture.socket.end(1006);
      if (isVisible) fixture.document.fire("visibilitychange");
      else fixture.clock.advance(14_999);
      assert.equal(fixture.sockets.length, 1);
      fixture.clock.advance(isVisible ? 0 : 1);
      fixture.socket.end(1006);
      assert.deepEqual(fixture.clock.pending, [15_000], "still offline as far as is known");
      fixture.clock.advance(15_000);
      fixture.socket.open();
      assert.equal(fixture.client.state, "open");
      fixture.socket.end(1006);
      assert.ok(fixture.clock.pending[0]! <= 4000, "the page was wrong");
      fixture.client.close();
    }
  });

  it("offline and visible: never before the gateway's window", () => {
    const fixture = opened({ capMs: 2000 });
    fixture.window.fire("offline");
    fixture.socket.give({ event: "goodbye", reason: "drain", reconnect: { afterMs: [8000, 8000] } });
    fixture.socket.end(1012);
    fixture.document.fire("visibilitychange");
    assert.deepEqual(fixture.clock.pending, [8000]);
    fixture.client.close();
  });
});

describe("client close", () => {
  const moments: Record<string, (fixture: Fixture) => void> = {
    idle: () => undefined,
    connecting: (fixture) => void fixture.client.subscribe("t"),
    open: (fixture) => {
      fixture.client.subscribe("t");
      fixture.socket.open();
    },
    waiting: (fixture) => {
      fixture.client.subscribe("t");
      fixture.socket.end(1006);
    },
  };
  for (const [moment, bring] of Object.entries(moments)) {
    it(`while ${moment}: no timer, no listener and no subscription is left`, () => {
      const fixture = new Fixture();
      bring(fixture);
      assert.equal(fixture.client.state, moment);
      fixture.client.close();
      fixture.client.close();
      assert.deepEqual([fixture.client.state, fixture.clock.pending], ["closed", []]);
      assert.equal(fixture.document.listeners.size + fixture.window.listeners.size, 0);
      fixture.sockets[0]?.open();
      fixture.sockets[0]?.end(1006);
      assert.deepEqual([fixture.client.state, fixture.clock.pending], ["closed", []]);
    });
  }

  it("in the middle of any event", () => {
    for (const state of ["connecting", "open", "waiting"]) {
      const fixture = new Fixture();
      fixture.client.on("state", ({ to }) => {
        if (to === state) fixture.client.close();
      });
      fixture.client.subscribe("t");
      if (state !== "connecting") fixture.socket.open();
      if (state === "waiting") fixture.socket.end(1006);
      assert.deepEqual([fixture.client.state, fixture.clock.pending], ["closed", []], state);
    }
  });
});
