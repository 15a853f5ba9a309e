/** The account of one generator: what it counts of each event, and what it answers to the coordinator. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Account } from "../../../../load/generator/account.js";
import type { EncodedHistogram } from "../../../../load/generator/histogram.js";
import { Histogram } from "../../../../load/generator/histogram.js";
import type { Message, Push, Subscribed } from "../../../../load/generator/protocol.js";

const ANSWER: Subscribed = { type: "subscribed", topic: "load", code: 0, epoch: "e", offset: 7, recovered: false };
const push = (offset: number, n: number): Push => ({
  ...{ type: "push", topic: "load", offset, previous: offset - 1, run: "mine", n, publishedAtMs: 0 },
});
const EVENT = { type: "event", topic: "load", epoch: "e", offset: 0, from: 0, to: 0, afterMs: undefined } as const;

function opened(count: number, broadcastMessages = 1): Account {
  const account = new Account(20, "mine", broadcastMessages);
  for (let fd = 3; fd < 3 + count; fd++) account.opened(fd, fd, ANSWER);
  return account;
}

function percentile(encoded: EncodedHistogram, percent: number): number | null {
  const histogram = new Histogram();
  histogram.merge(encoded);
  return histogram.percentileMs(percent);
}

describe("account of a generator", () => {
  it("counts what opened, failed and ended, by reason", () => {
    const account = opened(3);
    account.failed("timeout");
    account.failed("timeout");
    account.failed("http_503");
    account.lost("1012");
    const { open, failed, unexpectedCloses } = account.report();
    assert.deepEqual([open, failed, unexpectedCloses], [2, { timeout: 2, http_503: 1 }, { 1012: 1 }]);
  });

  it("names each message that a subscriber should not receive, but not the advice of retry", () => {
    const account = opened(1);
    const messages: Message[] = [
      { ...EVENT, name: "retry" },
      { ...EVENT, name: "goodbye" },
      { type: "heartbeat", code: 0 },
      ANSWER,
      { type: "other", text: '{"code":4002}' },
    ];
    for (const message of messages) account.message(3, message);
    assert.deepEqual(account.report().odd, {
      "event goodbye": 1,
      "unexpected heartbeat answer": 1,
      "second subscription answer": 1,
      '{"code":4002}': 1,
    });
  });

  it("knows when the newest broadcast has reached every open connection, with all its messages", () => {
    const account = opened(2, 2);
    for (const offset of [8, 9]) account.message(3, push(offset, 1));
    account.message(4, push(8, 1));
    assert.equal(account.broadcastComplete, false);
    account.message(4, push(9, 1));
    assert.equal(account.broadcastComplete, true);
    assert.deepEqual([account.report().delivered, account.report().gaps], [4, 0]);
    account.message(3, push(9, 1));
    assert.equal(account.report().duplicates, 1);
  });

  it("answers for handshakes, heartbeats and one broadcast, each with its own times", () => {
    const account = opened(5);
    account.heartbeatAnswered(40);
    account.message(3, push(8, 1));
    const handshakes = account.collect("handshakes");
    const heartbeats = account.collect("heartbeats");
    const broadcast = account.collect({ broadcast: 1 });
    assert.ok(handshakes.type === "collected" && heartbeats.type === "collected" && broadcast.type === "collected");
    assert.equal(Math.round(percentile(handshakes.histogram, 100)!), 7);
    assert.equal(Math.round(percentile(heartbeats.histogram, 50)!), 40);
    assert.deepEqual([broadcast.delivered, broadcast.duplicates, handshakes.delivered], [1, 0, 0]);
    assert.ok(broadcast.lastAtMs > 0);
  });
});
