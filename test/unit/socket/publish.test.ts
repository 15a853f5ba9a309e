/** The native publish counts a message for each subscriber, and nothing where uWebSockets sends nothing. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { SLOT } from "../../../src/metrics/catalog.js";
import { counters } from "../../../src/metrics/counters.js";
import { NativePublish } from "../../../src/socket/publish.js";

it("publishes the same bytes once as text, and counts them for each native subscriber", () => {
  const published: unknown[] = [];
  const subscribers = new Map([["a", 3]]);
  const native = new NativePublish({
    numSubscribers: (topic) => subscribers.get(topic as string) ?? 0,
    publish: (topic, message, isBinary) => {
      published.push([topic, message, isBinary]);
      return topic === "a";
    },
  });
  const before = Float64Array.from(counters);
  const counted = (): number[] =>
    (["pushes", "messagesOut", "bytesOut"] as const).map((slot) => counters[SLOT[slot]]! - before[SLOT[slot]]!);
  const message = Buffer.from('{"topic":"a"}');
  native.publish("a", message);
  assert.equal((published[0] as unknown[])[1], message, "not copied");
  assert.deepEqual(published, [["a", message, false]]);
  assert.deepEqual(counted(), [3, 3, 3 * message.length]);
  native.publish("nobody", message);
  assert.deepEqual(counted(), [3, 3, 3 * message.length]);
  subscribers.set("unsent", 5);
  native.publish("unsent", message);
  assert.deepEqual(counted(), [3, 3, 3 * message.length], "uWebSockets did not take it");
  assert.deepEqual([native.subscribers("a"), native.subscribers("nobody")], [3, 0]);
});
