/**
 * What topics and ids really take in the hub, compared with the estimate that --topic-memory-bytes and --idempotency-bytes bound: the
 * constants in src/topics/memory.ts, src/hub/topic-table.ts and src/hub/recent-ids.ts come from here. Run with
 * `node --expose-gc dist/test/bench/topic-memory.js`; prints a line for each shape of topic.
 */
import { monotonicMs } from "../../src/clock.js";
import { Hub } from "../../src/hub/hub.js";
import { TopicRules } from "../../src/topics/rules.js";

const RULE = {
  historyCount: 100,
  historyBytes: 65_536,
  historySeconds: 300,
  stateKeys: 10_000,
  slowReaders: "disconnect",
} as const;
const peer = { write: () => undefined, answer: () => undefined, requestOf: () => 0 };

function used(): number {
  for (let i = 0; i < 3; i++) (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function measure(what: string, count: number, run: (hub: Hub, n: number) => void, text = ""): void {
  const hub = new Hub({
    rules: new TopicRules(RULE, text),
    generation: "g",
    memoryBytes: 1e12,
    lingerMs: 0,
    idempotencyBytes: 1e12,
    now: monotonicMs,
  });
  const before = used();
  for (let n = 0; n < count; n++) run(hub, n);
  const bytes = (used() - before) / count;
  const estimate = (hub.table.memoryBytes + hub.table.unpublishedBytes + hub.ids.bytes) / count;
  process.stdout.write(
    `${what}: ${bytes.toFixed()} bytes, estimated ${estimate.toFixed()} (${(estimate / bytes).toFixed(2)})\n`,
  );
}

const data = JSON.stringify({ status: "talking", since: "2026-11-26T00:00:00Z", number: "0170 000000" });
const follow = (hub: Hub, n: number): void =>
  hub.follow(peer, { type: "follow", topic: `user:${n}`, request: n, epoch: "", offset: 0 });

measure("followed, never published", 200_000, follow);
measure(
  "one publication, nothing remembered",
  200_000,
  (hub, n) => hub.publish({ topic: `bare:${n}`, data }),
  "bare:history=0,keys=0",
);
measure("one publication", 100_000, (hub, n) => hub.publish({ topic: `user:${n}`, data }));
measure("one keyed publication", 100_000, (hub, n) => hub.publish({ topic: `user:${n}`, data, key: "state" }));
measure("one keyed publication, followed", 100_000, (hub, n) => {
  follow(hub, n);
  hub.publish({ topic: `user:${n}`, data, key: "state" });
});
measure(
  "one keyed publication, state only",
  100_000,
  (hub, n) => hub.publish({ topic: `user:${n}`, data, key: "state" }),
  "user:history=0",
);
measure("fifty publications", 4000, (hub, n) => {
  for (let i = 0; i < 50; i++) hub.publish({ topic: `user:${n}`, data });
});
measure("fifty keys", 4000, (hub, n) => {
  for (let i = 0; i < 50; i++) hub.publish({ topic: `user:${n}`, data, key: `k${i}` });
});
measure(
  "fifty keys, state only",
  4000,
  (hub, n) => {
    for (let i = 0; i < 50; i++) hub.publish({ topic: `user:${n}`, data, key: `k${i}` });
  },
  "user:history=0",
);
measure(
  "one id",
  200_000,
  (hub, n) => hub.publish({ topic: "bare", data, id: `0f8fad5b-d9cb-469f-a165-7086728${n}` }),
  "bare:history=0,keys=0",
);
