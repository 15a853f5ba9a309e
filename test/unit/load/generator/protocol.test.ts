/** Texts of megagate.v1 as a subscriber reads them, and broadcasts of an exact size. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { broadcastData, MessageReader, parseMessage } from "../../../../load/generator/protocol.js";

describe("protocol", () => {
  it("distinguishes answers, pushes, events and other texts", () => {
    const subscribed =
      '{"reqtype":"Subscribe","code":0,"topic":"load","epoch":"e","offset":7,"recovered":false,"data":[]}';
    const answer = { type: "subscribed", topic: "load", code: 0, epoch: "e", offset: 7, recovered: false };
    assert.deepEqual(parseMessage(subscribed), answer);
    assert.deepEqual(parseMessage('{"reqtype":"Heartbeat","code":0}'), { type: "heartbeat", code: 0 });
    const goodbye = parseMessage('{"event":"goodbye","reason":"drain","reconnect":{"afterMs":[0,72000]}}');
    assert.ok(goodbye.type === "event" && goodbye.name === "goodbye");
    assert.deepEqual(goodbye.afterMs, [0, 72_000]);
    const dropped = parseMessage('{"event":"dropped","topic":"load","from":3,"to":9}');
    assert.ok(dropped.type === "event" && dropped.afterMs === undefined);
    assert.deepEqual([dropped.name, dropped.topic, dropped.from, dropped.to], ["dropped", "load", 3, 9]);
    assert.equal(parseMessage('{"code":4002,"error":"not a topic name"}').type, "other");
    assert.equal(parseMessage("not JSON").type, "other");
    assert.equal(parseMessage("[1]").type, "other");
  });

  it("reads its own broadcasts, and gives those of other publishers no run", () => {
    const data = broadcastData({ run: "ab12cd", n: 3, publishedAtMs: 12.34567 }, 100);
    const push = parseMessage(`{"topic":"load","offset":58,"data":${data}}`);
    const expected = {
      type: "push",
      topic: "load",
      offset: 58,
      previous: 57,
      run: "ab12cd",
      n: 3,
      publishedAtMs: 12.346,
    };
    assert.deepEqual(push, expected);
    const other = parseMessage('{"topic":"load","offset":9,"prev":4,"data":{"n":1}}');
    assert.deepEqual(other, { type: "push", topic: "load", offset: 9, previous: 4, run: "", n: 0, publishedAtMs: 0 });
  });

  it("makes data of exactly the size asked for, and refuses a size below its own fields", () => {
    fc.assert(
      fc.property(fc.integer({ min: 80, max: 12_000 }), fc.integer({ min: 1, max: 1000 }), (size, n) => {
        const data = broadcastData({ run: "abcdef", n, publishedAtMs: 1e9 + 0.123 }, size);
        assert.equal(Buffer.byteLength(data), size);
        assert.equal((JSON.parse(data) as { n: number }).n, n);
      }),
    );
    assert.throws(() => broadcastData({ run: "abcdef", n: 1, publishedAtMs: 1 }, 20), RangeError);
  });

  it("recognises texts by their bytes, never one for another", () => {
    const reader = new MessageReader();
    const texts = Array.from({ length: 12 }, (_, i) => `{"topic":"load","offset":${10 + (i % 6)},"data":0}`);
    for (const text of [...texts, ...texts]) {
      const padded = Buffer.from(`??${text}??`);
      const message = reader.read(padded, 2, padded.length - 2);
      assert.deepEqual(message, parseMessage(text));
      assert.equal(reader.read(padded, 2, padded.length - 2), message);
    }
  });
});
