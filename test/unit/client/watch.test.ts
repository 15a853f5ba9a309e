/** What `megagate watch` prints, line by line. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type WatchOptions, watchTopic } from "../../../src/client/watch.js";
import { FakeClock, FakeSocket, FakeTarget, settled } from "./fixture.js";

function watching(more: Pick<WatchOptions, "isReachable"> = {}): {
  clock: FakeClock;
  sockets: FakeSocket[];
  lines: string[];
  end: AbortController;
  over: ReturnType<typeof watchTopic>;
  window: FakeTarget;
} {
  const clock = new FakeClock();
  const sockets: FakeSocket[] = [];
  const lines: string[] = [];
  const window = new FakeTarget();
  const end = new AbortController();
  class Socket extends FakeSocket {
    constructor(url: string, protocols?: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  const over = watchTopic({
    url: "ws://test/ws",
    topic: "t",
    topicsInUrl: false,
    WebSocket: Socket,
    clock,
    random: () => 0.5,
    page: { window },
    date: () => new Date(2026, 0, 2, 3, 4, 5, 6),
    write: (text) => lines.push(text),
    signal: end.signal,
    ...more,
  });
  return { clock, sockets, lines, end, over, window };
}

const texts = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replace(/^03:04:05\.006 {2}(.*)\n$/s, "$1"));

describe("watch", () => {
  it("prints the state, pushes, and what happens to the connection, until it is ended", async () => {
    const { clock, sockets, lines, end, over } = watching();
    sockets[0]?.open();
    sockets[0]?.answer({ topic: "t", offset: 5, data: [{ key: "8001", data: { on: true } }] });
    sockets[0]?.give({ topic: "t", offset: 6, data: [1] });
    sockets[0]?.give({ topic: "t", offset: 7, key: "8001", data: null });
    sockets[0]?.give({ topic: "t", offset: 9, data: 1 });
    sockets[0]?.give({ event: "goodbye", reason: "drain", reconnect: { afterMs: [0, 3000] } });
    sockets[0]?.end(1012, "the gateway is stopping");
    clock.advance(1500);
    sockets[1]?.open();
    sockets[1]?.answer({ topic: "t", offset: 9 });
    end.abort();
    assert.equal(await over, undefined);
    assert.deepEqual(clock.pending, []);
    assert.deepEqual(texts(lines), [
      "connecting to ws://test/ws",
      "connected",
      "t stands at offset 5 of epoch e, 1 key",
      '  8001  {"on":true}',
      "6  -  [1]",
      "7  8001  deleted",
      "missed push 8; asking the gateway",
      "the gateway says goodbye (drain)",
      "connection lost (1012 the gateway is stopping); trying again in 1.5 s",
      "connected",
      "pushes were missed for good",
      "t stands at offset 9 of epoch e, 0 keys",
    ]);
  });

  it("ends with the reason when the gateway refuses the topic or closes for good", async () => {
    const first = watching();
    first.sockets[0]?.open();
    first.sockets[0]?.give({ reqtype: "Query", id: 1, code: 4002, error: "not a topic name" });
    assert.deepEqual(await first.over, { type: "ended", text: "the gateway refused the topic: 4002 not a topic name" });
    const second = watching();
    second.sockets[0]?.end(4301, "bad token");
    assert.deepEqual(await second.over, { type: "ended", text: "the gateway closed for good: 4301 bad token" });
  });

  it("ends if no gateway ever answered, and goes on if one did or may soon", async () => {
    const wrong = watching({ isReachable: () => false });
    wrong.sockets[0]?.end(1006, "");
    assert.deepEqual(await wrong.over, { type: "unreachable", text: "closed with 1006" });
    assert.deepEqual(wrong.clock.pending, []);

    const busy = watching({ isReachable: () => true });
    busy.sockets[0]?.end(1006, "");
    assert.match(busy.lines.at(-1) ?? "", /no connection \(1006\); trying again in/);
    busy.end.abort();

    const restarted = watching({ isReachable: () => false });
    restarted.sockets[0]?.open();
    restarted.sockets[0]?.end(1006, "");
    assert.match(restarted.lines.at(-1) ?? "", /connection lost \(1006\); trying again in/);
    restarted.end.abort();
    assert.equal(await restarted.over, undefined);
  });

  it("prints nothing that could control the terminal", async () => {
    const { sockets, lines, end } = watching();
    sockets[0]?.open();
    sockets[0]?.answer({ topic: "t", offset: 0 });
    sockets[0]?.give({ topic: "t", offset: 1, key: "\u001b[2J\n", data: "\u009b2J" });
    await settled();
    assert.equal(texts(lines).at(-1), '1  \\u001b[2J\\u000a  "\\u009b2J"');
    sockets[0]?.give({ topic: "t", offset: 2, key: "a\u202eb\u2066", data: "\u2028\u200f\u{e0041}\ud800 سلام 👩‍🚀" });
    assert.equal(texts(lines).at(-1), '2  a\\u202eb\\u2066  "\\u2028\\u200f\\udb40\\udc41\\ud800 سلام 👩‍🚀"');
    sockets[0]?.end(1001, "bye\u202e\u001b]0;x\u0007");
    assert.match(texts(lines).at(-1)!, /\(1001 bye\\u202e\\u001b\]0;x\\u0007\)/);
    end.abort();
  });

  it("prints that it goes on trying while the page is offline", async () => {
    const { window, lines, sockets, end, clock } = watching();
    sockets[0]?.open();
    window.fire("offline");
    sockets[0]?.end(1006, "");
    assert.equal(texts(lines).at(-1), "connection lost (1006); offline, trying again in 22.5 s");
    end.abort();
    await settled();
    assert.deepEqual(clock.pending, []);
  });
});
