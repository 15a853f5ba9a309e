/**
 * Parked sockets: what they are sent in which order, when they are live again, and what is counted. Real replicas and
 * outboxes, without sessions, hub or network.
 */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { Parking } from "../../../src/catchup/parking.js";
import { monotonicMs } from "../../../src/clock.js";
import { SLOT } from "../../../src/metrics/catalog.js";
import { counters } from "../../../src/metrics/counters.js";
import type { SubscribeRequest } from "../../../src/protocol/messages.js";
import type { Cursor, JournalEntry } from "../../../src/topics/journal.js";
import { TopicMemory } from "../../../src/topics/memory.js";
import { pushHead } from "../../../src/topics/publication.js";
import { cursorOf, type Topic } from "../../../src/topics/topics.js";
import { FakeSocket } from "../../support/fake-socket.js";
import { rules } from "../../support/fake-worker.js";

const MAX_BUFFERED_BYTES = 24_000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A replica of this worker. */
function replica(name: string): Topic {
  const rule = rules.of(name);
  const delivered = { messages: 0, bytes: 0 };
  return {
    name,
    epoch: "e",
    offset: 0,
    memory: new TopicMemory(rule),
    slowReaders: rule.slowReaders,
    delivered,
    request: 1,
  };
}

/** Delivers one publication to the replica, and returns its bytes. */
function deliver(topic: Topic, data: string, key?: string): Buffer {
  topic.offset += 1;
  const push = Buffer.from(`${pushHead(topic.name, topic.offset, key)}${JSON.stringify(data)}}`);
  topic.memory.add({ topic: topic.name, offset: topic.offset, key, push }, monotonicMs());
  topic.delivered.messages += 1;
  topic.delivered.bytes += push.length;
  return push;
}

/** What a client gets of a message: `push a 1`, `Subscribe a 3`, `reset a 3`, `dropped a 1`, or the text. */
function named(text: string): string {
  if (!text.startsWith("{")) return text;
  const { reqtype, event, topic, offset, from } = JSON.parse(text) as Record<string, unknown>;
  return [reqtype ?? event ?? "push", topic, offset ?? from].join(" ");
}

describe("parking", () => {
  let topics: Map<string, Topic>;
  let calls: string[];
  let parking: Parking;
  let socket: FakeSocket;
  let before: Float64Array;
  let start: Cursor;
  /** What uWebSockets' dropped handler leads to. */
  let lost: JournalEntry[];
  beforeEach(() => {
    topics = new Map(["a", "b", "c:1", "d:1"].map((name) => [name, replica(name)]));
    calls = [];
    lost = [];
    parking = new Parking({
      deps: {
        find: (name) => topics.get(name),
        emptied: (name) => calls.push(`emptied ${name}`),
        scheduleDisconnect: () => calls.push("disconnect"),
        askAgain: (_socket, request: SubscribeRequest) => calls.push(`ask again ${request.topic}`),
      },
      maxBufferedBytes: MAX_BUFFERED_BYTES,
    });
    socket = new FakeSocket(MAX_BUFFERED_BYTES, {
      dropped: (dropped) => parking.overflowed(dropped, lost),
      closed: () => undefined,
    });
    before = Float64Array.from(counters);
    start = cursorOf(topics.get("a")!);
  });
  const topic = (name: string): Topic => topics.get(name)!;
  const counted = (slot: keyof typeof SLOT): number => counters[SLOT[slot]]! - before[SLOT[slot]]!;
  const got = (): string[] => socket.messages.splice(0).map(named);
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await turn();
  };
  /** The client has read everything. */
  const drain = async (): Promise<void> => {
    socket.buffered = 0;
    parking.drained(socket);
    await settle();
  };
  const fill = (): void => {
    socket.slow = true;
    socket.buffered = MAX_BUFFERED_BYTES + 1;
  };
  const missing = (name: string, from: Cursor): JournalEntry => ({ name, before: from });

  it("takes a socket off its native subscriptions, and gives all of them back in the turn in which it has caught up", async () => {
    for (const name of ["a", "b"]) socket.subscribe(name);
    for (const data of ["1", "2", "3"]) deliver(topic("a"), data);
    parking.follow(socket, { topic: "a", from: start });
    assert.deepEqual([[...socket.topics], parking.count("a"), parking.count("b")], [[], 1, 1]);
    assert.deepEqual([counted("parked"), counted("slowReaders")], [1, 0]);
    await turn();
    assert.deepEqual(got(), ["push a 1", "push a 2", "push a 3"]);
    assert.deepEqual([[...socket.topics].sort(), parking.has(socket)], [["a", "b"], false]);
    assert.deepEqual(calls.sort(), ["emptied a", "emptied b"]);
    assert.deepEqual([counted("parked"), counted("subscriptions"), counted("pushes")], [0, 0, 3]);
  });

  it("sends what is delivered meanwhile too, each push once", async () => {
    deliver(topic("a"), "x".repeat(20_000));
    socket.slow = true;
    parking.follow(socket, { topic: "a", from: start });
    await turn();
    deliver(topic("a"), "later");
    assert.deepEqual(got(), ["push a 1"]);
    await drain();
    assert.deepEqual(got(), ["push a 2"]);
    assert.ok(socket.topics.has("a"));
  });

  it("sends no more than the buffer can take, and the rest each time that the client has read", async () => {
    for (let i = 0; i < 5; i++) deliver(topic("a"), "x".repeat(9000));
    socket.slow = true;
    parking.follow(socket, { topic: "a", from: start });
    await settle();
    assert.deepEqual(got(), ["push a 1", "push a 2"]);
    await drain();
    assert.deepEqual(got(), ["push a 3", "push a 4"]);
    await drain();
    assert.deepEqual(got(), ["push a 5"]);
    assert.ok(socket.max <= MAX_BUFFERED_BYTES, `${socket.max} bytes`);
  });

  it("after an overflow continues at the first message that the socket did not get, and counts it as slow until then", async () => {
    socket.subscribe("a");
    deliver(topic("a"), "1");
    const second = cursorOf(topic("a"));
    deliver(topic("a"), "2");
    const third = cursorOf(topic("a"));
    deliver(topic("a"), "3");
    fill();
    parking.overflowed(socket, [missing("a", second), missing("a", third)]);
    assert.deepEqual([counted("slowReaders"), parking.unsent(socket).messages], [1, 2]);
    await settle();
    assert.deepEqual(got(), [], "its buffer is full");
    await drain();
    assert.deepEqual(got(), ["push a 2", "push a 3"]);
    assert.deepEqual([counted("slowReaders"), counted("slowReadersCaughtUp")], [0, 1]);
  });

  it("parks without a gap where uWebSockets sends pending publications during the unsubscribe, and they do not fit", async () => {
    socket.subscribe("a");
    const first = cursorOf(topic("a"));
    socket.pend(deliver(topic("a"), "1"));
    lost = [missing("a", first)];
    fill();
    parking.ask(socket, topic("b"), { topic: "b", id: 1 });
    assert.equal(counted("slowReaders"), 1);
    await drain();
    assert.deepEqual(got(), ["Subscribe b 0", "push a 1"]);
  });

  it("sends promised pushes before the answer to another request, and answers in the order of the requests", async () => {
    for (const data of ["1", "2"]) deliver(topic("a"), data);
    fill();
    parking.ask(socket, topic("a"), { topic: "a", since: { epoch: "e", offset: 0 } });
    parking.ask(socket, topic("b"), { topic: "b" });
    parking.ask(socket, topic("a"), { topic: "a" });
    await drain();
    assert.deepEqual(got(), ["Subscribe a 2", "push a 1", "push a 2", "Subscribe b 0", "Subscribe a 2"]);
    assert.deepEqual([counted("recoveries"), counted("recoveriesFailed")], [1, 0]);
  });

  it("asks again for a queued request whose topic has left the worker", async () => {
    fill();
    parking.ask(socket, topic("b"), { topic: "b" });
    topics.delete("b");
    await drain();
    assert.deepEqual(
      calls.filter((call) => call.startsWith("ask")),
      ["ask again b"],
    );
  });

  it("sends a large state over several turns, and holds replies until it is complete", async () => {
    for (let key = 0; key < 16; key++) deliver(topic("a"), "x".repeat(12_000), `k${key}`);
    parking.ask(socket, topic("a"), { topic: "a" });
    await turn();
    assert.deepEqual([got(), parking.isMidMessage(socket)], [[], true]);
    parking.reply(socket, Buffer.from("pong"));
    await settle();
    assert.deepEqual(got(), ["Subscribe a 16", "pong"]);
    assert.equal(parking.has(socket), false);
  });

  it("disconnects a client whose replies or requests pile up beyond the limit, each by itself", async () => {
    fill();
    parking.ask(socket, topic("b"), { topic: "b" });
    const reply = Buffer.alloc(MAX_BUFFERED_BYTES / 2);
    for (let i = 0; i < 2; i++) parking.reply(socket, reply);
    assert.deepEqual(calls, []);
    parking.reply(socket, reply);
    assert.deepEqual(calls.splice(0), ["disconnect"]);
    for (let i = 0; i < 120; i++) parking.ask(socket, topic("b"), { topic: "b", id: i });
    assert.deepEqual(calls.splice(0), []);
    parking.ask(socket, topic("b"), { topic: "b" });
    assert.deepEqual(calls.splice(0), ["disconnect"]);
    await settle();
  });

  it("disconnects a slow reader that misses more than is remembered of a disconnect topic", async () => {
    socket.subscribe("a");
    fill();
    for (let i = 0; i < 7; i++) deliver(topic("a"), String(i));
    parking.overflowed(socket, [missing("a", start)]);
    await drain();
    assert.deepEqual([got(), calls], [[], ["disconnect"]]);
  });

  it("sends a slow reader of a drop topic the missed range, and counts what it replaces", async () => {
    socket.subscribe("d:1");
    fill();
    const bytes = ["1", "2"].map((data) => deliver(topic("d:1"), data).length);
    parking.overflowed(socket, [missing("d:1", start)]);
    await drain();
    assert.deepEqual(got(), ["dropped d:1 1"]);
    assert.deepEqual([counted("unsent_drop"), counted("unsentBytes_drop")], [2, bytes[0]! + bytes[1]!]);
  });

  it("counts what a slow reader did not get when its connection or its subscription ends, and unread answers when it is cut", () => {
    for (const name of ["a", "c:1"]) socket.subscribe(name);
    fill();
    for (const name of ["a", "c:1"]) deliver(topic(name), "1");
    parking.overflowed(socket, [missing("a", start), missing("c:1", start)]);
    parking.ask(socket, topic("b"), { topic: "b" });
    assert.equal(parking.unsubscribe(socket, "c:1"), true);
    assert.equal(parking.unsubscribe(socket, "c:1"), false);
    assert.equal(counted("unsent_closed"), 1);
    parking.closed(socket, "disconnect");
    assert.deepEqual([counted("unsent_disconnect"), counted("unsent_answer")], [1, 1]);
    assert.deepEqual([counted("parked"), counted("slowReaders"), counted("subscriptions")], [0, 0, 0]);
    parking.closed(socket, "disconnect");
    assert.equal(counted("unsent_disconnect"), 1, "once");
  });

  it("cancels only the requests that are not answered yet", async () => {
    fill();
    for (const name of ["a", "b", "a"]) parking.ask(socket, topic(name), { topic: name });
    assert.equal(parking.hasRequest(socket, "a"), true);
    assert.equal(parking.cancel(socket, "a").length, 2);
    parking.unsubscribe(socket, "a");
    await drain();
    assert.deepEqual(got(), ["Subscribe b 0"]);
    assert.deepEqual([...socket.topics], ["b"]);
  });

  it("reports how long a socket has taken nothing, until it takes a chunk again", async () => {
    const stalled = (): (number | boolean)[] =>
      [...parking.stalled(1000)].flatMap(({ stalledMs, hasUnanswered }) => [stalledMs, hasUnanswered]);
    fill();
    parking.ask(socket, topic("b"), { topic: "b" });
    await settle();
    assert.deepEqual(
      [stalled(), stalled()],
      [
        [1000, true],
        [2000, true],
      ],
    );
    socket.buffered = 0;
    parking.drained(socket);
    assert.deepEqual(stalled(), [], "it waits for the worker");
    await settle();
    assert.deepEqual(stalled(), [], "it is live");
    for (let i = 0; i < 5; i++) deliver(topic("a"), "x".repeat(9000));
    socket.buffered = 0;
    parking.follow(socket, { topic: "a", from: start });
    await settle();
    assert.deepEqual([stalled(), stalled()].flat(), [1000, false, 2000, false]);
    await drain();
    assert.deepEqual(stalled(), [1000, false], "it took a chunk");
  });
});
