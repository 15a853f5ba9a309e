import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { isTopic } from "../../../src/topics/name.js";
import { TopicRules } from "../../../src/topics/rules.js";
import { type Image, type Surroundings, Topics, WAIT_MS } from "../../../src/topics/topics.js";

const push = (topic: string, offset: number) => ({ topic, offset, push: Buffer.from(`${topic}#${offset}`) });

const RULE = {
  historyCount: 10,
  historyBytes: 1000,
  historySeconds: 60,
  stateKeys: 3,
  slowReaders: "disconnect",
} as const;
const whole = (epoch: string, offset: number): Image => ({ epoch, offset, history: [], state: [] });

describe("topics", () => {
  let calls: string[];
  let subscribers: Map<string, number>;
  let topics: Topics<string>;
  beforeEach(() => {
    calls = [];
    subscribers = new Map();
    const around: Surroundings<string> = {
      want: (topic, position) => calls.push(`want ${topic}${position ? ` ${position.epoch}:${position.offset}` : ""}`),
      unwant: (topic) => calls.push(`unwant ${topic}`),
      publish: (topic, message) => calls.push(`publish ${topic} ${Buffer.from(message).toString()}`),
      subscribers: (topic) => subscribers.get(topic) ?? 0,
      reset: (topic) => calls.push(`reset ${topic.name} ${topic.epoch}:${topic.offset}`),
      arrived: (topic, waiting) => calls.push(`arrived ${topic.name} ${topic.offset} ${waiting.join("+")}`),
      gaveUp: (topic, waiting) => calls.push(`gaveUp ${topic} ${waiting.join("+")}`),
    };
    topics = new Topics(around, new TopicRules(RULE, ""), 1000);
  });
  const took = (): string[] => calls.splice(0);

  it("the first of many subscribers asks for all, and all arrive together", () => {
    for (const waiter of ["a", "b", "c"]) topics.wait("t", waiter, 0);
    assert.deepEqual(took(), ["want t"]);
    Array.from(topics.standing("t", whole("e", 7)));
    assert.deepEqual(took(), ["arrived t 7 a+b+c"]);
    assert.equal(topics.find("t")?.offset, 7);
  });

  it("delivers what follows the standing, once each, and nothing for a topic that nobody here wants", () => {
    topics.deliver(push("t", 1));
    topics.wait("t", "a", 0);
    Array.from(topics.standing("t", whole("e", 1)));
    took();
    for (const offset of [1, 2, 2, 3]) topics.deliver(push("t", offset));
    assert.deepEqual(took(), ["publish t t#2", "publish t t#3"]);
  });

  it("after a broken link it asks again with its position; a gap is told as a reset, no gap is silent about itself", () => {
    topics.wait("t", "a", 0);
    Array.from(topics.standing("t", whole("e", 1)));
    topics.wait("u", "b", 0);
    took();
    topics.relink();
    assert.deepEqual(took(), ["want t e:1", "want u"]);
    Array.from(topics.standing("t", { epoch: "e", offset: 1, history: [] }));
    assert.deepEqual(took(), [], "nothing was missed");
    const missed = [2, 3].map((offset) => ({ ...push("t", offset), atMs: 0, key: undefined }));
    Array.from(topics.standing("t", { epoch: "e", offset: 3, history: missed }));
    assert.deepEqual(took(), ["publish t t#2", "publish t t#3"], "what was missed is replayed");
    Array.from(topics.standing("t", whole("e", 50)));
    assert.deepEqual(took(), ["reset t e:50"], "more was missed than is remembered");
    Array.from(topics.standing("t", whole("f", 0)));
    assert.deepEqual(took(), ["reset t f:0"]);
    topics.deliver(push("t", 1));
    assert.equal(took().at(-1), "publish t t#1");
  });

  it("who has seen a later offset of this epoch waits until this worker has come so far, or in vain", () => {
    topics.wait("t", "a", 0);
    Array.from(topics.standing("t", whole("e", 5)));
    took();
    topics.waitFor(topics.find("t")!, 7, "b", 0);
    topics.waitFor(topics.find("t")!, 9, "c", 0);
    for (const offset of [6, 7]) topics.deliver(push("t", offset));
    assert.deepEqual(took(), ["publish t t#6", "publish t t#7", "arrived t 7 b"]);
    topics.sweep(WAIT_MS);
    assert.deepEqual(took(), ["arrived t 7 c"]);
  });

  it("a topic without subscribers is forgotten after the linger, not before, and not if somebody came back", () => {
    topics.wait("t", "a", 0);
    Array.from(topics.standing("t", whole("e", 0)));
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
    assert.deepEqual(took(), ["unwant t"]);
    assert.equal(topics.find("t"), undefined);
    assert.equal(topics.size, 0);
  });

  it("a topic whose waiting sockets all left before it arrived is forgotten too", () => {
    topics.wait("t", "a", 0);
    Array.from(topics.standing("t", whole("e", 0)));
    took();
    topics.sweep(5000);
    topics.sweep(6000);
    assert.deepEqual(took(), ["unwant t"]);
  });

  it("who waits too long for the hub is told, and may ask again", () => {
    topics.wait("t", "a", 0);
    topics.sweep(WAIT_MS - 1);
    assert.deepEqual(took(), ["want t"]);
    topics.sweep(WAIT_MS);
    assert.deepEqual(took(), ["unwant t", "gaveUp t a"]);
    topics.wait("t", "b", WAIT_MS);
    assert.deepEqual(took(), ["want t"]);
  });
});

it("idle topics beyond the limit are forgotten at the next look, the longest idle first, those in use never", () => {
  const forgotten: string[] = [];
  const used = new Set(["t2"]);
  const nothing = (): undefined => undefined;
  const topics = new Topics<string>(
    {
      want: nothing,
      unwant: (topic) => forgotten.push(topic),
      publish: nothing,
      subscribers: (topic) => (used.has(topic) ? 1 : 0),
      reset: nothing,
      arrived: nothing,
      gaveUp: nothing,
    },
    new TopicRules(RULE, ""),
    60_000,
    2,
  );
  for (const name of ["t1", "t2", "t3", "t4", "t5"]) {
    topics.wait(name, "a", 0);
    Array.from(topics.standing(name, whole("e", 0)));
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
