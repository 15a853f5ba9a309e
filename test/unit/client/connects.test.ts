/** One connection at a time; when it comes back, and when it does not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeSocket, opened, Place, settled } from "./fixture.js";

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

  it("within the window that was told early, where the connection ends without a word", () => {
    const place = opened();
    place.socket.give({ event: "retry", reconnect: { afterMs: [0, 8000] } });
    place.socket.end(1006);
    assert.deepEqual(place.clock.pending, [4000]);
    place.clock.advance(4000);
    place.socket.end(1006);
    assert.deepEqual(place.clock.pending, [8000], "half of 8 s · 2");
    place.clock.advance(8000);
    place.socket.open();
    place.socket.end(1006);
    assert.deepEqual(place.clock.pending, [2000], "the new connection was told nothing: half of base · 4");
    place.client.close();
  });

  for (const why of ["a close frame", "our own silence"]) {
    it(`with its own delays after ${why}, whatever was told early`, () => {
      const place = opened({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
      place.socket.give({ event: "retry", reconnect: { afterMs: [0, 8000] } });
      if (why === "a close frame") place.socket.end(1012);
      else place.clock.advance(22_500);
      assert.deepEqual([place.client.state, place.clock.pending], ["waiting", [500]]);
      place.client.close();
    });
  }

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
