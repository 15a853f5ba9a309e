import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GatewayError } from "../../../src/errors.js";
import type { Hub } from "../../../src/hub/hub.js";
import { OPEN_MS, Reopening } from "../../../src/hub/reopening.js";
import { TopicRules } from "../../../src/topics/rules.js";
import { FakePeer, follow, makeHub, RULE } from "../../support/hub.js";

const rules = new TopicRules(RULE, "bare:history=0,keys=0");
const publish = (hub: Hub, topic: string, data = "1", key?: string) => hub.publish({ topic, data, key });
const isRefused =
  (kind: string, detail: RegExp) =>
  (error: unknown): boolean =>
    error instanceof GatewayError && error.kind === kind && detail.test(error.detail);

describe("hub", () => {
  it("what all topics remember is bounded: those that nobody follows are evicted, the oldest first, and counted", () => {
    const hub = makeHub({ rules, memoryBytes: 200_000 });
    publish(hub, "followed");
    hub.follow(new FakePeer(), follow("followed"));
    for (let n = 0; n < 1000; n++) publish(hub, `t:${n}`, JSON.stringify("x".repeat(100)));
    assert.ok(hub.table.memoryBytes <= 200_000, String(hub.table.memoryBytes));
    assert.equal(hub.topics + hub.table.evicted, 1001);
    assert.ok(hub.describe("followed"), "a topic with followers stays");
    assert.ok(hub.describe("t:999"), "the newest stays");
    assert.equal(hub.describe("t:0"), undefined);
    const before = publish(hub, "t:999").epoch;
    assert.notEqual(publish(hub, "t:0").epoch, before);
    assert.equal(publish(hub, "t:0").offset, 2, "an evicted topic gets a new epoch");
  });

  it("rule 17: a topic is kept while it is followed, for the linger after it, and after a start until all workers have asked", () => {
    let nowMs = 0;
    const hub = makeHub({ rules, memoryBytes: 20_000, lingerMs: 30_000, now: () => nowMs });
    hub.table.mayForget = false;
    const peer = new FakePeer();
    publish(hub, "t", '"state"', "k");
    const fill = (): void => {
      for (let n = 0; n < 100; n++) publish(hub, `other:${n}`, JSON.stringify("x".repeat(400)));
    };
    fill();
    assert.equal(hub.table.evicted, 0, "which topics are followed is not known yet");
    hub.follow(peer, follow("t"));
    hub.allFollowed();
    assert.ok(hub.topics < 101, "now some are evicted");
    hub.unfollow(peer, "t");
    nowMs = 29_999;
    fill();
    assert.ok(hub.describe("t"), "within the linger");
    nowMs = 30_000;
    fill();
    assert.equal(hub.describe("t"), undefined);
  });

  it("rule 17: if followed topics alone exceed the limit, the longest histories are shortened, and states are refused, never dropped", () => {
    const hub = makeHub({
      rules: new TopicRules({ ...RULE, historyBytes: 1e9, historyCount: 1e6 }, ""),
      memoryBytes: 60_000,
    });
    const peer = new FakePeer();
    for (const name of ["long", "short"]) hub.follow(peer, follow(name));
    publish(hub, "short", '"kept"', "k");
    for (let n = 0; n < 500; n++) publish(hub, "long", JSON.stringify("x".repeat(200)));
    assert.ok(hub.table.memoryBytes <= 60_000);
    assert.ok(hub.table.shortened > 0);
    assert.equal(hub.describe("short")!.history.count, 1, "the shorter history is whole");
    assert.ok(hub.describe("long")!.history.count > 5);
    const large = JSON.stringify("x".repeat(20_000));
    publish(hub, "short", large, "a");
    publish(hub, "short", large, "b");
    assert.throws(() => publish(hub, "short", large, "c"), isRefused("stateFull", /--topic-memory-bytes/));
    assert.equal(hub.statesRefused, 1);
    publish(hub, "short", '"smaller"', "a");
    publish(hub, "short", "null", "b");
    publish(hub, "short", large, "c");
    assert.deepEqual(
      hub.describe("short")!.state.map(({ key }) => key),
      ["k", "a", "c"],
    );
  });

  it("names that nobody has published to are counted apart: they evict no published topic", () => {
    const hub = makeHub({ rules, memoryBytes: 100_000 });
    publish(hub, "published", '"state"', "k");
    const peer = new FakePeer();
    for (let n = 0; n < 1000; n++) hub.follow(peer, follow(`name:${n}`));
    assert.ok(hub.describe("published"));
    assert.ok(hub.table.unpublished < 250 && hub.table.unpublished > 100, String(hub.table.unpublished));
    assert.equal(peer.frames.at(-1)?.type, "followRefused");
    hub.follow(peer, follow("name:999", 1, { epoch: "of a hub before", offset: 0 }));
    assert.equal(peer.frames.at(-1)?.type, "topicSync", "a worker that links again had it before");
    hub.follow(peer, follow("published"));
    assert.equal(peer.frames.at(-1)?.type, "topicSync");
    for (let n = 0; n < 1000; n++) hub.unfollow(peer, `name:${n}`);
    assert.deepEqual([hub.table.unpublished, hub.table.unpublishedBytes], [0, 0]);
  });

  it("stays fast when a hundred thousand followed topics remember more than the limit", () => {
    const hub = makeHub({ rules, memoryBytes: 1e6 });
    const peer = new FakePeer();
    peer.write = () => undefined;
    for (let n = 0; n < 100_000; n++) hub.follow(peer, follow(`user:${n}`, n, { epoch: "e", offset: 0 }));
    const startedMs = performance.now();
    for (let n = 0; n < 200_000; n++) publish(hub, `user:${n % 100_000}`);
    // It took minutes with a Map kept in order of age; now about a second.
    assert.ok(performance.now() - startedMs < 10_000);
    assert.equal(hub.table.evicted, 0);
  });

  it("topics that were only followed cost nothing once nobody follows them, and published ones without memory are bounded", () => {
    const hub = makeHub({ rules, memoryBytes: 20_000 });
    const peer = new FakePeer();
    hub.follow(peer, follow("a"));
    hub.unfollow(peer, "a");
    assert.deepEqual([hub.topics, hub.table.memoryBytes], [0, 0]);
    for (let n = 0; n < 1000; n++) publish(hub, `bare:${n}`);
    assert.ok(hub.topics < 200, String(hub.topics));
  });

  it("the sum of bytes is exact: after all topics are forgotten it is 0", () => {
    const hub = makeHub({ rules });
    const peer = new FakePeer();
    for (let n = 0; n < 200; n++) publish(hub, `t:${n % 7}`, n % 3 === 0 ? "null" : '"välue"', `k${n % 10}`);
    hub.follow(peer, follow("t:1", 1, { epoch: "e.0", offset: 25 }));
    for (const topic of [...hub.table.values()]) hub.table.forget(topic);
    assert.deepEqual([hub.table.memoryBytes, hub.topics, hub.epochCount], [0, 0, 7]);
  });

  it("a worker that claims an offset which was not given out: the topic gets a new epoch for every follower, and the claim is counted", () => {
    const hub = makeHub({ rules });
    const [early, late] = [new FakePeer(), new FakePeer()];
    const { epoch, offset } = publish(hub, "t", "1", "k");
    hub.follow(early, follow("t", 7, { epoch, offset }));
    early.requests.set("t", 7);
    late.requests.set("t", 9);
    hub.follow(late, follow("t", 9, { epoch, offset: offset + 4 }));
    for (const [peer, request] of [
      [early, 7],
      [late, 9],
    ] as const) {
      const last = peer.frames.at(-1);
      assert.ok(last?.type === "topicSync" && last.epoch !== epoch && last.offset === 1 && last.request === request);
      assert.deepEqual(last.state, [{ key: "k", data: "1" }]);
    }
    assert.equal(hub.aheadClaims, 1);
  });

  it("a repeated idempotency id is answered with its first position, and nothing is published again", () => {
    const hub = makeHub({ rules });
    const first = hub.publish({ topic: "t", data: "1", id: "x" });
    assert.deepEqual(hub.publish({ topic: "t", data: "1", id: "x" }), { ...first, duplicate: true });
    assert.equal(hub.publications, 1);
  });

  it("messages are published in their order until one is refused; the results of those before it come with the reason", () => {
    const hub = makeHub({ rules: new TopicRules({ ...RULE, stateKeys: 1 }, "") });
    const { results, error } = hub.publishAll([
      { topic: "t", data: "1", key: "a" },
      { topic: "t", data: "1", key: "b" },
      { topic: "t", data: "1" },
    ]);
    assert.deepEqual([results.length, error?.kind, hub.describe("t")!.offset], [1, "stateFull", 1]);
  });
});

describe("a hub that was restarted", () => {
  const opening = (workers: number, isRestart: boolean) => {
    const calls: string[] = [];
    const reopening = new Reopening(workers, isRestart, {
      onOpen: (relinked) => calls.push(`open ${relinked}`),
      onComplete: () => calls.push("complete"),
    });
    return { reopening, calls };
  };

  it("rule 16: accepts publications when every expected worker has asked again for everything", () => {
    const { reopening, calls } = opening(2, true);
    reopening.relinked(0);
    reopening.relinked(0);
    assert.deepEqual(calls, []);
    reopening.relinked(1);
    assert.deepEqual(calls, ["open 2", "complete"]);
  });

  it("rules 16 and 17: or after two seconds; until all have asked it forgets nothing, and it does not wait for a worker that is gone", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { reopening, calls } = opening(3, true);
    reopening.relinked(0);
    t.mock.timers.tick(OPEN_MS);
    assert.deepEqual(calls, ["open 1"]);
    reopening.relinked(1);
    assert.equal(reopening.missing, 1);
    reopening.expect(2);
    assert.deepEqual(calls, ["open 1", "complete"]);
  });

  it("the first hub of a gateway is open at once: its workers are spawned later", () => {
    const { reopening, calls } = opening(0, false);
    reopening.expect(1);
    assert.deepEqual(calls, ["open 0"]);
    reopening.relinked(0);
    assert.deepEqual(calls, ["open 0", "complete"]);
  });

  it("refuses publications until it is open, and says when to try again", () => {
    const hub = makeHub({ rules });
    hub.open = false;
    assert.throws(() => publish(hub, "t"), isRefused("hubUnavailable", /again in a second/));
  });
});
