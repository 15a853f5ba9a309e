/** The rules by which a worker follows topics (rule N of src/README.md), with callbacks as fakes; and topic names. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { isTopic } from "../../../src/topics/name.js";
import { TopicRules } from "../../../src/topics/rules.js";
import { type SyncContent, Topics, type TopicsDeps, WAIT_MS } from "../../../src/topics/topics.js";

const push = (topic: string, offset: number) => ({ topic, offset, push: Buffer.from(`${topic}#${offset}`) });

const RULE = {
  historyCount: 10,
  historyBytes: 1000,
  historySeconds: 60,
  stateKeys: 3,
  slowReaders: "disconnect",
} as const;
/** The hub's whole answer to a request. */
const whole = (request: number, epoch: string, offset: number): SyncContent => ({
  request,
  epoch,
  offset,
  history: [],
  state: [],
});
const LIMITS = { lingerMs: 1000, maxIdle: Infinity, memoryBytes: 1e9 };

describe("topics", () => {
  let calls: string[];
  let subscribers: Map<string, number>;
  let topics: Topics<string>;
  beforeEach(() => {
    calls = [];
    subscribers = new Map();
    const deps: TopicsDeps<string> = {
      follow: (topic, request, position) =>
        calls.push(`follow ${request} ${topic}${position ? ` ${position.epoch}:${position.offset}` : ""}`),
      unfollow: (topic) => calls.push(`unfollow ${topic}`),
      relinked: () => calls.push("relinked"),
      compare: (names) => calls.push(`compare ${names.join("+")}`),
      publish: (topic, message) => calls.push(`publish ${topic} ${Buffer.from(message).toString()}`),
      subscribers: (topic) => subscribers.get(topic) ?? 0,
      reset: (topic) => calls.push(`reset ${topic.name} ${topic.epoch}:${topic.offset}`),
      ready: (topic, waiting) => calls.push(`ready ${topic.name} ${topic.offset} ${waiting.join("+")}`),
      failed: (topic, waiting, why) => calls.push(`failed ${topic} ${waiting.join("+")} ${why}`),
    };
    topics = new Topics({ deps, rules: new TopicRules(RULE, ""), limits: LIMITS });
  });
  const took = (): string[] => calls.splice(0);
  const sync = (name: string, image: SyncContent): void => {
    for (const _ of topics.topicSync(name, image));
  };

  it("rules 1 and 3: the first of many subscribers makes the worker ask, and all are ready together", () => {
    for (const waiter of ["a", "b", "c"]) topics.wait("t", waiter, 0);
    assert.deepEqual(took(), ["follow 1 t"]);
    sync("t", whole(1, "e", 7));
    assert.deepEqual(took(), ["ready t 7 a+b+c"]);
    assert.equal(topics.find("t")?.offset, 7);
  });

  it("rule 3: delivers what follows the answer, once each, and nothing of a topic that the worker does not follow", () => {
    topics.deliver(push("t", 1));
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 1));
    took();
    for (const offset of [1, 2, 2, 3]) topics.deliver(push("t", offset));
    assert.deepEqual(took(), ["publish t t#2", "publish t t#3"]);
  });

  it("rules 4 and 6: after a broken link the worker asks with its position; what is missing is replayed, or replaced by a reset", () => {
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 1));
    topics.wait("u", "b", 0);
    took();
    topics.relink();
    assert.deepEqual(took(), ["follow 3 t e:1", "follow 4 u", "relinked"]);
    sync("t", { request: 3, epoch: "e", offset: 1, history: [] });
    assert.deepEqual(took(), [], "nothing was missed");
    topics.relink();
    took();
    const missed = [2, 3].map((offset) => ({ ...push("t", offset), atMs: 0, key: undefined }));
    sync("t", { request: 5, epoch: "e", offset: 3, history: missed });
    assert.deepEqual(took(), ["publish t t#2", "publish t t#3"], "what was missed is replayed");
    topics.relink();
    took();
    sync("t", whole(7, "e", 50));
    assert.deepEqual(took(), ["reset t e:50"], "more was missed than is remembered");
    topics.relink();
    took();
    sync("t", whole(9, "f", 0));
    assert.deepEqual(took(), ["reset t f:0"]);
    topics.deliver(push("t", 1));
    assert.equal(took().at(-1), "publish t t#1");
  });

  it("rule 2: an answer that comes after its subscriber was refused is not installed: the next subscriber would get no pushes", () => {
    topics.wait("t", "a", 0);
    topics.sweep(WAIT_MS);
    assert.deepEqual(took(), ["follow 1 t", "unfollow t", "failed t a timeout"]);
    sync("t", whole(1, "e", 7));
    assert.equal(topics.find("t"), undefined);
    topics.wait("t", "b", WAIT_MS);
    sync("t", whole(1, "e", 7));
    assert.deepEqual(took(), ["follow 2 t"], "the old answer is not taken for the new one");
    sync("t", whole(2, "e", 8));
    assert.deepEqual(took(), ["ready t 8 b"]);
    assert.equal(topics.staleSyncs, 2);
  });

  it("rule 4: an answer without state to a topic that was forgotten meanwhile is never taken for a whole topic", () => {
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 7));
    topics.relink();
    topics.sweep(5000);
    topics.sweep(6000);
    topics.wait("t", "b", 6000);
    took();
    sync("t", { request: 2, epoch: "e", offset: 7, history: [] });
    assert.deepEqual(took(), []);
    sync("t", { request: 3, epoch: "e", offset: 7, history: [] });
    assert.deepEqual(took(), ["follow 4 t"], "even with the right number: the worker asks for the whole topic");
    sync("t", whole(4, "e", 7));
    assert.deepEqual(took(), ["ready t 7 b"]);
  });

  it("rule 4: a replay ends when the topic is forgotten or asked for again between two steps", () => {
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 1));
    topics.relink();
    took();
    const missed = [2, 3].map((offset) => ({ ...push("t", offset), atMs: 0, key: undefined }));
    const steps = topics.topicSync("t", { request: 2, epoch: "e", offset: 3, history: missed });
    steps.next();
    topics.relink();
    assert.equal(steps.next().done, true);
    assert.deepEqual(took(), ["publish t t#2", "follow 3 t e:2", "relinked"]);
  });

  it("rule 7: followed topics are compared with the hub, after a new link only when all have been asked for again", () => {
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 1));
    subscribers.set("t", 1);
    topics.sweep(0);
    assert.deepEqual(took(), ["follow 1 t", "ready t 1 a"]);
    topics.relink();
    took();
    topics.sweep(0);
    assert.deepEqual(took(), ["compare t"]);
    topics.notServed(["t", "unknown"]);
    assert.deepEqual(took(), ["follow 3 t e:1"]);
    assert.equal(topics.unserved, 1);
    topics.unlink();
    for (let second = 0; second < 3; second++) topics.sweep(0);
    assert.deepEqual(took(), []);
  });

  it("rule 7: every topic is compared within a minute or two", () => {
    for (let n = 0; n < 2500; n++) {
      topics.wait(`t${n}`, "a", 0);
      sync(`t${n}`, whole(n + 1, "e", 1));
      subscribers.set(`t${n}`, 1);
    }
    topics.relink();
    took();
    for (let second = 0; second < 120; second++) topics.sweep(0);
    const compared = took().flatMap((call) => call.replace("compare ", "").split("+"));
    assert.equal(new Set(compared).size, 2500);
    assert.ok(compared.length < 5200, String(compared.length));
  });

  it("a topic that the hub refuses fails for all that wait for it", () => {
    topics.wait("t", "a", 0);
    topics.followRefused("t", 7);
    assert.deepEqual(took(), ["follow 1 t"], "an older request");
    topics.followRefused("t", 1);
    assert.deepEqual(took(), ["failed t a refused"]);
  });

  it("replicas are bounded: the longest history is shortened first", () => {
    const small = new Topics<string>({
      deps: {
        follow: () => undefined,
        unfollow: () => undefined,
        relinked: () => undefined,
        compare: () => undefined,
        publish: () => undefined,
        subscribers: () => 1,
        reset: () => undefined,
        ready: () => undefined,
        failed: () => undefined,
      },
      rules: new TopicRules({ ...RULE, historyCount: 1000, historyBytes: 1e9 }, ""),
      limits: { ...LIMITS, memoryBytes: 20_000 },
    });
    for (const [n, name] of ["long", "short"].entries()) {
      small.wait(name, "a", 0);
      for (const _ of small.topicSync(name, whole(n + 1, "e", 0)));
    }
    for (let offset = 1; offset <= 5; offset++) small.deliver(push("short", offset));
    for (let offset = 1; offset <= 500; offset++) small.deliver(push("long", offset));
    assert.ok(small.memoryBytes <= 20_000, String(small.memoryBytes));
    assert.equal(small.find("short")!.memory.history.count, 5);
    assert.ok(small.find("long")!.memory.history.count > 10);
  });

  it("a subscriber that has seen a later offset waits until this worker has reached it, or times out", () => {
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 5));
    took();
    topics.waitFor(topics.find("t")!, { waiter: "c", offset: 9, sinceMs: 0 });
    topics.waitFor(topics.find("t")!, { waiter: "b", offset: 7, sinceMs: 0 });
    for (const offset of [6, 7]) topics.deliver(push("t", offset));
    assert.deepEqual(took(), ["publish t t#6", "publish t t#7", "ready t 7 b"]);
    topics.sweep(WAIT_MS);
    assert.deepEqual(took(), ["ready t 7 c"]);
  });

  it("rule 5: a topic without subscribers is forgotten after the linger, not before, and not if a subscriber came back", () => {
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 0));
    subscribers.set("t", 1);
    topics.sweep(10);
    subscribers.set("t", 0);
    topics.emptied("t", 100);
    topics.sweep(1099);
    assert.ok(topics.find("t"));
    subscribers.set("t", 1);
    topics.sweep(1100);
    subscribers.set("t", 0);
    topics.emptied("t", 2000);
    took();
    topics.sweep(3000);
    assert.deepEqual(took(), ["unfollow t"]);
    assert.equal(topics.find("t"), undefined);
    assert.equal(topics.size, 0);
  });

  it("a topic whose waiting sockets all left before it arrived is forgotten too", () => {
    topics.wait("t", "a", 0);
    sync("t", whole(1, "e", 0));
    took();
    topics.sweep(5000);
    topics.sweep(6000);
    assert.deepEqual(took(), ["unfollow t"]);
  });

  it("a subscriber that waits too long for the hub is refused, and may ask again", () => {
    topics.wait("t", "a", 0);
    topics.sweep(WAIT_MS - 1);
    assert.deepEqual(took(), ["follow 1 t"]);
    topics.sweep(WAIT_MS);
    assert.deepEqual(took(), ["unfollow t", "failed t a timeout"]);
    topics.wait("t", "b", WAIT_MS);
    assert.deepEqual(took(), ["follow 2 t"]);
  });
});

it("idle topics beyond the limit are forgotten at the next sweep, the longest idle first, those in use never", () => {
  const forgotten: string[] = [];
  const used = new Set(["t2"]);
  const nothing = (): undefined => undefined;
  const topics = new Topics<string>({
    deps: {
      follow: nothing,
      unfollow: (topic) => forgotten.push(topic),
      relinked: nothing,
      compare: nothing,
      publish: nothing,
      subscribers: (topic) => (used.has(topic) ? 1 : 0),
      reset: nothing,
      ready: nothing,
      failed: nothing,
    },
    rules: new TopicRules(RULE, ""),
    limits: { ...LIMITS, lingerMs: 60_000, maxIdle: 2 },
  });
  for (const [n, name] of ["t1", "t2", "t3", "t4", "t5"].entries()) {
    topics.wait(name, "a", 0);
    for (const _ of topics.topicSync(name, whole(n + 1, "e", 0)));
  }
  for (const name of ["t3", "t1", "t4", "t5", "t3"]) topics.emptied(name, 1000);
  topics.sweep(1000);
  assert.deepEqual(forgotten, ["t1", "t4"]);
  assert.equal(topics.size, 3);
});

it("topic names: letters, digits, _ and -, with : between parts", () => {
  for (const good of ["a", "exts", "user:42", "A-b_c:1:2", "x".repeat(128)]) assert.ok(isTopic(good), good);
  for (const bad of [
    "",
    ":",
    "a:",
    ":a",
    "a::b",
    "a b",
    "a.b",
    "a*",
    "ä",
    "a\n",
    "x".repeat(129),
    1,
    null,
    undefined,
    {},
  ]) {
    assert.equal(isTopic(bad), false, JSON.stringify(bad));
  }
});
