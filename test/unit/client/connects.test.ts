/** One connection at a time; when the client reconnects, and when it does not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeSocket, Fixture, opened, settled } from "./fixture.js";

describe("client connects", () => {
  it("with its first subscription, once, offering megagate.v1", () => {
    const fixture = new Fixture();
    assert.deepEqual([fixture.client.state, fixture.sockets.length], ["idle", 0]);
    fixture.client.subscribe("a");
    fixture.client.subscribe("b");
    assert.equal(fixture.sockets.length, 1);
    assert.deepEqual([fixture.socket.url, fixture.socket.protocols], ["ws://test/ws", ["megagate.v1"]]);
    fixture.socket.open();
    assert.deepEqual(
      fixture.socket.sent.map(({ reqtype, topic }) => [reqtype, topic]),
      [
        ["Subscribe", "a"],
        ["Subscribe", "b"],
      ],
    );
    assert.deepEqual(fixture.states, ["connecting", "open"]);
    fixture.client.close();
  });

  it("to an address that it asks for before each attempt; one that comes too late is not used", async () => {
    const pending: ((url: string) => void)[] = [];
    const fixture = new Fixture({ url: () => new Promise((resolve) => pending.push(resolve)), connectTimeoutMs: 100 });
    fixture.client.subscribe("t");
    fixture.clock.advance(100);
    assert.equal(fixture.client.state, "waiting");
    fixture.clock.advance(500);
    assert.equal(pending.length, 2);
    pending[0]?.("ws://late/");
    pending[1]?.("ws://second/");
    await settled();
    assert.deepEqual(
      fixture.sockets.map(({ url }) => url),
      ["ws://second/"],
    );
    fixture.client.close();
  });

  it("with a token as a sub-protocol more, asked for before each attempt; one that comes too late is not used", async () => {
    const fixed = new Fixture({ token: "a.b.c" });
    fixed.client.subscribe("t");
    assert.deepEqual(fixed.socket.protocols, ["megagate.v1", "bearer.a.b.c"]);
    fixed.client.close();
    const pending: ((token: string) => void)[] = [];
    const token = (): Promise<string> => new Promise((resolve) => pending.push(resolve));
    const fixture = new Fixture({ token, connectTimeoutMs: 100 });
    fixture.client.subscribe("t");
    fixture.clock.advance(100);
    fixture.clock.advance(500);
    pending[0]?.("late");
    pending[1]?.("second");
    await settled();
    assert.deepEqual(
      fixture.sockets.map(({ protocols }) => protocols[1]),
      ["bearer.second"],
    );
    fixture.client.close();
  });

  it("with a new token when the gateway says that the old one has expired", async () => {
    let asked = 0;
    const fixture = new Fixture({ token: () => `token${++asked}` });
    fixture.client.subscribe("t");
    await settled();
    fixture.socket.open();
    fixture.socket.end(4100);
    fixture.clock.advance(0);
    await settled();
    assert.deepEqual(
      fixture.sockets.map(({ protocols }) => protocols[1]),
      ["bearer.token1", "bearer.token2"],
    );
    fixture.client.close();
  });

  it("again when there is no token, and reports it", async () => {
    const errors: string[] = [];
    const fixture = new Fixture({ token: () => Promise.reject(new Error("signed out")) });
    fixture.client.on("error", ({ error }) => errors.push(error));
    fixture.client.subscribe("t");
    await settled();
    assert.deepEqual([errors, fixture.client.state, fixture.sockets.length], [["signed out"], "waiting", 0]);
    fixture.client.close();
  });

  it("again when there is no address, or one that is none, and reports it", async () => {
    const errors: string[] = [];
    const fixture = new Fixture({ url: () => Promise.reject(new Error("no such host")) });
    fixture.client.on("error", ({ error }) => errors.push(error));
    fixture.client.subscribe("t");
    await settled();
    assert.deepEqual([errors, fixture.client.state], [["no such host"], "waiting"]);
    fixture.client.close();
    class Picky extends FakeSocket {
      constructor(url: string) {
        super(url);
        throw new SyntaxError("not a URL");
      }
    }
    const picky = new Fixture({ WebSocket: Picky });
    picky.client.on("error", ({ error }) => errors.push(error));
    picky.client.subscribe("t");
    assert.deepEqual([errors[1], picky.client.state], ["not a URL", "waiting"]);
    picky.client.close();
  });

  it("again when an attempt takes too long; nothing of the old socket counts any more", () => {
    const fixture = new Fixture({ connectTimeoutMs: 1000 });
    fixture.client.subscribe("t");
    const old = fixture.socket;
    fixture.clock.advance(1000);
    assert.deepEqual([fixture.client.state, old.closedWith], ["waiting", 1005]);
    old.open();
    old.end(4300);
    assert.equal(fixture.client.state, "waiting");
    fixture.clock.advance(500);
    assert.equal(fixture.sockets.length, 2);
    fixture.client.close();
  });
});

describe("client reconnects", () => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4200, 4299]) {
    it(`after ${code}: at a random time, not before`, () => {
      const fixture = opened();
      fixture.socket.end(code);
      assert.deepEqual([fixture.client.state, fixture.clock.pending], ["waiting", [500]]);
      fixture.clock.advance(499);
      assert.equal(fixture.sockets.length, 1);
      fixture.clock.advance(1);
      assert.equal(fixture.sockets.length, 2);
      fixture.client.close();
    });
  }

  for (const code of [4100, 4199]) {
    it(`after ${code}: at once, but not again and again`, () => {
      const fixture = opened();
      fixture.socket.end(code);
      assert.deepEqual(fixture.clock.pending, [0]);
      fixture.clock.advance(0);
      fixture.socket.open();
      fixture.socket.end(code);
      assert.deepEqual(fixture.clock.pending, [1000], "half of base · 2");
      fixture.client.close();
    });
  }

  for (const code of [1002, 1003, 1007, 1008, 1009, 4300, 4399]) {
    it(`not after ${code}: stopped, with the reason`, () => {
      const fixture = opened();
      const stopped: unknown[] = [];
      fixture.client.on("stopped", (event) => stopped.push(event));
      fixture.socket.end(code, "why");
      assert.deepEqual([fixture.client.state, fixture.clock.pending], ["closed", []]);
      assert.deepEqual(stopped, [{ code, reason: "why" }]);
      assert.throws(() => fixture.client.subscribe("t"), /closed/);
    });
  }

  it("within the window of a goodbye, once; then with its own delays", () => {
    const fixture = opened();
    fixture.random = 0.25;
    const goodbyes: unknown[] = [];
    fixture.client.on("goodbye", (event) => goodbyes.push(event));
    fixture.socket.give({ event: "goodbye", reason: "drain", reconnect: { afterMs: [1000, 9000] } });
    fixture.socket.end(1012);
    assert.deepEqual(goodbyes, [{ reason: "drain", afterMs: [1000, 9000] }]);
    assert.deepEqual(fixture.clock.pending, [3000]);
    fixture.clock.advance(3000);
    fixture.socket.end(1006);
    assert.deepEqual(fixture.clock.pending, [500], "a quarter of base · 2");
    fixture.client.close();
  });

  it("within the window that was announced early, if the connection ends without a close frame", () => {
    const fixture = opened();
    fixture.socket.give({ event: "retry", reconnect: { afterMs: [0, 8000] } });
    fixture.socket.end(1006);
    assert.deepEqual(fixture.clock.pending, [4000]);
    fixture.clock.advance(4000);
    fixture.socket.end(1006);
    assert.deepEqual(fixture.clock.pending, [8000], "half of 8 s · 2");
    fixture.clock.advance(8000);
    fixture.socket.open();
    fixture.socket.end(1006);
    assert.deepEqual(fixture.clock.pending, [2000], "nothing was announced on the new connection: half of base · 4");
    fixture.client.close();
  });

  for (const why of ["a close frame", "our own silence"]) {
    it(`with its own delays after ${why}, whatever was announced early`, () => {
      const fixture = opened({ heartbeatMs: 20_000, answerTimeoutMs: 5000 });
      fixture.socket.give({ event: "retry", reconnect: { afterMs: [0, 8000] } });
      if (why === "a close frame") fixture.socket.end(1012);
      else fixture.clock.advance(22_500);
      assert.deepEqual([fixture.client.state, fixture.clock.pending], ["waiting", [500]]);
      fixture.client.close();
    });
  }

  it("after delays that grow to the cap; only a connection that lasted makes them small again", () => {
    const fixture = opened({ baseMs: 1000, capMs: 5000, stableMs: 10_000 });
    fixture.random = 1;
    const delays: (number | undefined)[] = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      fixture.socket.end(1006);
      delays.push(fixture.clock.pending[0]);
      fixture.clock.advance(5000);
      fixture.socket.open();
      fixture.clock.advance(9999);
    }
    assert.deepEqual(delays, [1000, 2000, 4000, 5000, 5000]);
    fixture.clock.advance(1);
    fixture.socket.end(1006);
    assert.deepEqual(fixture.clock.pending, [1000]);
    fixture.client.close();
  });
});
