/** One connection at a time; when it comes back, when it does not, and that nothing is left after close(). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeSocket, Place, settled } from "./fixture.js";

const opened = (options?: ConstructorParameters<typeof Place>[0]): Place => {
  const place = new Place(options);
  place.client.subscribe("t");
  place.socket.open();
  place.socket.answer({ topic: "t", offset: 5 });
  return place;
};

describe("client connects", () => {
  it("with its first subscription, once, offering megagate.v1", () => {
    const place = new Place();
    assert.deepEqual([place.client.state, place.sockets.length], ["idle", 0]);
    place.client.subscribe("a");
    place.client.subscribe("b");
    assert.equal(place.sockets.length, 1);
    assert.deepEqual([place.socket.url, place.socket.protocols], ["ws://test/ws", ["megagate.v1"]]);
    place.socket.open();
    assert.deepEqual(
      place.socket.sent.map(({ reqtype, topic }) => [reqtype, topic]),
      [
        ["Subscribe", "a"],
        ["Subscribe", "b"],
      ],
    );
    assert.deepEqual(place.states, ["connecting", "open"]);
    place.client.close();
  });

  it("to an address that it asks for before each attempt; one that comes too late is not used", async () => {
    const pending: ((url: string) => void)[] = [];
    const place = new Place({ url: () => new Promise((resolve) => pending.push(resolve)), connectTimeoutMs: 100 });
    place.client.subscribe("t");
    place.clock.advance(100);
    assert.equal(place.client.state, "waiting");
    place.clock.advance(500);
    assert.equal(pending.length, 2);
    pending[0]?.("ws://late/");
    pending[1]?.("ws://second/");
    await settled();
    assert.deepEqual(
      place.sockets.map(({ url }) => url),
      ["ws://second/"],
    );
    place.client.close();
  });

  it("again when the address cannot be had or is none, and says so", async () => {
    const errors: string[] = [];
    const place = new Place({ url: () => Promise.reject(new Error("no such host")) });
    place.client.on("error", ({ error }) => errors.push(error));
    place.client.subscribe("t");
    await settled();
    assert.deepEqual([errors, place.client.state], [["no such host"], "waiting"]);
    place.client.close();
    class Picky extends FakeSocket {
      constructor(url: string) {
        super(url);
        throw new SyntaxError("not a URL");
      }
    }
    const picky = new Place({ WebSocket: Picky });
    picky.client.on("error", ({ error }) => errors.push(error));
    picky.client.subscribe("t");
    assert.deepEqual([errors[1], picky.client.state], ["not a URL", "waiting"]);
    picky.client.close();
  });

  it("again when an attempt takes too long; the old socket can say nothing any more", () => {
    const place = new Place({ connectTimeoutMs: 1000 });
    place.client.subscribe("t");
    const old = place.socket;
    place.clock.advance(1000);
    assert.deepEqual([place.client.state, old.closedWith], ["waiting", 1005]);
    old.open();
    old.end(4300);
    assert.equal(place.client.state, "waiting");
    place.clock.advance(500);
    assert.equal(place.sockets.length, 2);
    place.client.close();
  });
});

describe("client reconnects", () => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4200, 4299]) {
    it(`after ${code}: at a random time, not before`, () => {
      const place = opened();
      place.socket.end(code);
      assert.deepEqual([place.client.state, place.clock.pending], ["waiting", [500]]);
      place.clock.advance(499);
      assert.equal(place.sockets.length, 1);
      place.clock.advance(1);
      assert.equal(place.sockets.length, 2);
      place.client.close();
    });
  }

  for (const code of [4100, 4199]) {
    it(`after ${code}: at once, but not again and again`, () => {
      const place = opened();
      place.socket.end(code);
      assert.deepEqual(place.clock.pending, [0]);
      place.clock.advance(0);
      place.socket.open();
      place.socket.end(code);
      assert.deepEqual(place.clock.pending, [1000], "half of base · 2");
      place.client.close();
    });
  }

  for (const code of [1002, 1003, 1007, 1008, 1009, 4300, 4399]) {
    it(`not after ${code}: stopped, with the reason`, () => {
      const place = opened();
      const stopped: unknown[] = [];
      place.client.on("stopped", (event) => stopped.push(event));
      place.socket.end(code, "why");
      assert.deepEqual([place.client.state, place.clock.pending], ["closed", []]);
      assert.deepEqual(stopped, [{ code, reason: "why" }]);
      assert.throws(() => place.client.subscribe("t"), /closed/);
    });
  }

  it("within the window of a goodbye, once; then with its own delays", () => {
    const place = opened();
    place.random = 0.25;
    const goodbyes: unknown[] = [];
    place.client.on("goodbye", (event) => goodbyes.push(event));
    place.socket.give({ event: "goodbye", reason: "drain", reconnect: { afterMs: [1000, 9000] } });
    place.socket.end(1012);
    assert.deepEqual(goodbyes, [{ reason: "drain", afterMs: [1000, 9000] }]);
    assert.deepEqual(place.clock.pending, [3000]);
    place.clock.advance(3000);
    place.socket.end(1006);
    assert.deepEqual(place.clock.pending, [500], "a quarter of base · 2");
    place.client.close();
  });

  it("after delays that grow to the cap; only a connection that lasted makes them small again", () => {
    const place = opened({ baseMs: 1000, capMs: 5000, stableMs: 10_000 });
    place.random = 1;
    const delays: (number | undefined)[] = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      place.socket.end(1006);
      delays.push(place.clock.pending[0]);
      place.clock.advance(5000);
      place.socket.open();
      place.clock.advance(9999);
    }
    assert.deepEqual(delays, [1000, 2000, 4000, 5000, 5000]);
    place.clock.advance(1);
    place.socket.end(1006);
    assert.deepEqual(place.clock.pending, [1000]);
    place.client.close();
  });
});

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

  it("offline: pauses until online, without a timer", () => {
    const place = opened();
    place.socket.end(1006);
    place.window.fire("offline");
    assert.deepEqual(place.clock.pending, []);
    place.document.fire("visibilitychange");
    assert.deepEqual(place.clock.pending, []);
    place.window.fire("online");
    place.clock.advance(0);
    place.window.fire("offline");
    const delays: unknown[] = [];
    place.client.on("state", ({ to, delayMs }) => delays.push([to, delayMs]));
    place.socket.end(1006);
    assert.deepEqual([delays, place.clock.pending], [[["waiting", undefined]], []]);
    place.window.fire("online");
    place.clock.advance(0);
    assert.equal(place.sockets.length, 3);
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
