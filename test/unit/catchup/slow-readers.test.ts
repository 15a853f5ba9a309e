/** Slow readers of one worker: what their grace allows, and what ends it. Only sockets and pipes are fakes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resetOf } from "../../../src/catchup/answers.js";
import { monotonicMs } from "../../../src/clock.js";
import { SLOT } from "../../../src/metrics/catalog.js";
import { counters } from "../../../src/metrics/counters.js";
import { ClientModel } from "../../support/client-model.js";
import type { FakeSocket } from "../../support/fake-socket.js";
import { FakeWorker, rules } from "../../support/fake-worker.js";
import { makeHub } from "../../support/hub.js";

const GRACE_MS = 5000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Reader {
  readonly hub = makeHub({ rules });
  readonly client = new ClientModel();
  readonly worker: FakeWorker;
  readonly #before = Float64Array.from(counters);
  #laterMs = 0;

  constructor(graceMs: number) {
    this.worker = new FakeWorker(this, graceMs);
  }

  get socket(): FakeSocket {
    return this.client.socket!;
  }

  counted(slot: keyof typeof SLOT): number {
    return counters[SLOT[slot]]! - this.#before[SLOT[slot]]!;
  }

  async connected(): Promise<this> {
    this.worker.connect(this.client, false);
    await this.settle();
    this.socket.slow = true;
    return this;
  }

  async publish(count: number, topic = "a"): Promise<void> {
    for (let i = 0; i < count; i++) this.hub.publish({ topic, data: JSON.stringify("x".repeat(9000)), key: "k1" });
    await this.settle();
  }

  async settle(): Promise<void> {
    this.worker.step(1000);
    for (let i = 0; i < 3; i++) await turn();
    this.client.check();
  }

  async read(): Promise<void> {
    this.socket.slow = false;
    for (let i = 0; i < 20; i++) {
      this.socket.buffered = 0;
      this.worker.sessions.drained(this.socket);
      await turn();
    }
    this.client.check();
  }

  /** One second later. */
  async second(): Promise<void> {
    this.#laterMs += 1000;
    await this.tick(this.#laterMs);
  }

  async tick(afterMs: number): Promise<void> {
    this.worker.sessions.tick(monotonicMs() + afterMs);
    await turn();
  }
}

it("a reader that reads again in time gets what it missed, in order, and is live again", async () => {
  const reader = await new Reader(GRACE_MS).connected();
  await reader.publish(6);
  assert.equal(reader.counted("slowReaders"), 1);
  await reader.tick(GRACE_MS - 1000);
  assert.ok(reader.socket.open, "its grace is not over");
  await reader.read();
  await reader.publish(1);
  assert.equal(reader.client.positions.get("a")?.offset, 7);
  assert.ok(reader.socket.topics.has("a"));
  assert.deepEqual([reader.counted("slowReaders"), reader.counted("slowReadersCaughtUp")], [0, 1]);
  assert.equal(reader.counted("unsent_disconnect"), 0);
});

it("a reader that has not caught up when its grace is over is disconnected, and what it did not get is counted", async () => {
  const reader = await new Reader(GRACE_MS).connected();
  await reader.publish(6);
  await reader.tick(GRACE_MS);
  assert.equal(reader.socket.open, false);
  const got = reader.client.positions.get("a")!.offset;
  assert.ok(got > 0 && got < 6);
  assert.equal(reader.counted("unsent_disconnect"), 6 - got);
  assert.equal(reader.counted("closed_slow"), 1);
});

it("a reader that missed more than the history holds is disconnected at the next tick, before its grace is over", async () => {
  const reader = await new Reader(GRACE_MS).connected();
  await reader.publish(4);
  await reader.publish(7);
  assert.ok(reader.socket.open);
  await reader.tick(0);
  assert.equal(reader.socket.open, false);
  assert.equal(reader.counted("unsent_disconnect"), 11 - reader.client.positions.get("a")!.offset);
});

it("a reader that reads again before that tick is disconnected too: it never gets later pushes without those it missed", async () => {
  const reader = await new Reader(GRACE_MS).connected();
  await reader.publish(4);
  await reader.publish(7);
  reader.socket.buffered = 0;
  reader.worker.sessions.drained(reader.socket);
  await turn();
  await turn();
  assert.equal(reader.socket.open, false);
});

it("without grace a full buffer ends the connection", async () => {
  const reader = await new Reader(0).connected();
  await reader.publish(4);
  assert.equal(reader.socket.open, false);
  assert.equal(reader.counted("unsent_disconnect"), 4 - reader.client.positions.get("a")!.offset);
});

it("a reader that misses nothing of a disconnect topic stays connected, however long it misses pushes of others", async () => {
  const reader = await new Reader(0).connected();
  await reader.publish(4, "d:1");
  await reader.tick(3_600_000);
  assert.ok(reader.socket.open);
  await reader.publish(1, "a");
  await reader.tick(0);
  assert.equal(reader.socket.open, false);
});

it("an answer after pushes that fill the buffer: the reader follows its topic nevertheless", async () => {
  const reader = await new Reader(GRACE_MS).connected();
  const { socket, worker } = reader;
  const ask = (reqtype: string): void =>
    worker.sessions.received(socket, Buffer.from(JSON.stringify({ reqtype, topic: "c:1" })), false);
  ask("Unsubscribe");
  // In one turn, so that the pushes are pending when the answer is sent.
  for (let i = 0; i < 4; i++) reader.hub.publish({ topic: "d:1", data: JSON.stringify("x".repeat(9000)), key: "k1" });
  worker.step(1000);
  ask("Subscribe");
  await turn();
  assert.ok(worker.sessions.parking.has(socket));
  await reader.publish(1, "c:1");
  await reader.read();
  assert.ok(socket.open && socket.topics.has("c:1"));
  assert.match(socket.messages.at(-1)!, /"topic":"(?:c|d):1"/);
  assert.ok(socket.messages.some((text) => /^\{"topic":"c:1","offset":1/.test(text)));
});

describe("a reader that takes nothing of what it asked for", () => {
  const ask = (reader: Reader, request: object): void =>
    reader.worker.sessions.received(reader.socket, Buffer.from(JSON.stringify(request)), false);
  /** Seconds pass; the client sends pongs, and `request` each second if given. */
  const wait = async (reader: Reader, seconds: number, request?: object): Promise<void> => {
    for (let second = 0; second < seconds && reader.socket.open; second++) {
      reader.worker.sessions.pinged(reader.socket);
      if (request) ask(reader, request);
      await reader.second();
    }
  };
  const filled = async (graceMs = GRACE_MS): Promise<Reader> => {
    const reader = await new Reader(graceMs).connected();
    // A state larger than a chunk for each topic, and an empty buffer.
    for (const topic of ["a", "c:1", "d:1"])
      for (const key of ["k1", "k2", "k3"]) reader.hub.publish({ topic, data: JSON.stringify("y".repeat(9000)), key });
    reader.socket.slow = false;
    await reader.settle();
    reader.socket.slow = true;
    return reader;
  };

  for (const topic of ["a", "c:1", "d:1"]) {
    it(`is disconnected during a snapshot of ${topic} when its grace is over, whatever pongs it sends`, async () => {
      const reader = await filled();
      ask(reader, { reqtype: "Query", action: `all${topic}` });
      await turn();
      await wait(reader, 4);
      assert.ok(reader.socket.open, "its grace is not over");
      await wait(reader, 3);
      assert.equal(reader.socket.open, false);
      assert.deepEqual([reader.counted("closed_slow"), reader.counted("unsent_answer")], [1, 1]);
      assert.deepEqual([reader.counted("slowReaders"), reader.counted("parked")], [0, 0]);
    });
  }

  it("is disconnected although it asks again each second", async () => {
    const reader = await filled();
    await wait(reader, 8, { reqtype: "Subscribe", topic: "c:1", id: 1 });
    assert.equal(reader.socket.open, false);
    assert.equal(reader.counted("closed_slow"), 1);
  });

  it("is disconnected when its requests pile up, before its grace is over", async () => {
    const reader = await filled();
    for (let i = 0; i < 200; i++) ask(reader, { reqtype: "Subscribe", topic: "c:1", id: i });
    await turn();
    await turn();
    assert.equal(reader.socket.open, false);
  });

  it("is disconnected during a history of a disconnect topic, and not where the policy tolerates slow readers", async () => {
    for (const topic of ["a", "c:1", "d:1"]) {
      const reader = await filled();
      const { epoch } = reader.hub.describe(topic)!;
      await reader.publish(3, topic);
      ask(reader, { reqtype: "Unsubscribe", topic });
      await reader.read();
      reader.socket.slow = true;
      reader.client.positions.set(topic, { epoch, offset: 0 });
      ask(reader, { reqtype: "Subscribe", topic, since: { epoch, offset: 0 } });
      await turn();
      assert.ok(reader.worker.sessions.parking.has(reader.socket));
      await wait(reader, 7);
      assert.equal(reader.socket.open, topic !== "a", topic);
      if (topic === "a") continue;
      assert.equal(reader.counted("slowReaders"), 1);
      await reader.read();
      assert.equal(reader.client.positions.get(topic)?.offset, 6);
      assert.equal(reader.counted("slowReaders"), 0);
    }
  });

  it("is not disconnected while it takes a chunk now and then, nor for the time in which the worker was blocked", async () => {
    const reader = await filled();
    ask(reader, { reqtype: "Query", action: "alla" });
    await turn();
    for (let chunk = 0; chunk < 4; chunk++) {
      await wait(reader, 4);
      reader.socket.buffered = 0;
      reader.worker.sessions.drained(reader.socket);
      await turn();
    }
    await reader.tick(3_600_000);
    assert.ok(reader.socket.open);
  });

  it("without grace has two seconds for the next chunk", async () => {
    const reader = await filled(0);
    ask(reader, { reqtype: "Query", action: "alla" });
    await turn();
    await wait(reader, 1);
    assert.ok(reader.socket.open);
    await wait(reader, 2);
    assert.equal(reader.socket.open, false);
  });
});

describe("a slow reader of a conflated topic", () => {
  it("gets every publication without a key and the newest of each key, in their order", async () => {
    const reader = await new Reader(GRACE_MS).connected();
    const pad = "x".repeat(9000);
    // Fills the buffer; then six that the history holds.
    for (let i = 0; i < 4; i++)
      reader.hub.publish({ topic: "c:1", data: JSON.stringify({ n: 0, pad }), key: undefined });
    await reader.settle();
    assert.equal(reader.counted("slowReaders"), 1);
    const before = reader.socket.messages.length;
    const keys = ["k1", undefined, "k1", undefined, "k1"];
    for (const [n, key] of keys.entries())
      reader.hub.publish({ topic: "c:1", data: JSON.stringify({ n: n + 1, pad }), key });
    await reader.settle();
    reader.socket.slow = false;
    await reader.read();
    const got = reader.socket.messages
      .slice(before)
      .map((text) => JSON.parse(text) as { data: { n: number }; prev?: number });
    assert.deepEqual(
      got.map(({ data, prev }) => [data.n, prev]),
      [
        [0, undefined],
        [2, 4],
        [4, 6],
        [5, undefined],
      ],
    );
    assert.equal(reader.counted("unsent_conflate"), 2);
  });
});

it("a reset is published only where uWebSockets batches it: for 16,384 bytes and more, readers are parked", async () => {
  const reader = await new Reader(GRACE_MS).connected();
  const { subscriptions, parking } = reader.worker.sessions;
  for (let bytes = 7100; bytes < 7400; bytes++) {
    reader.socket.slow = false;
    reader.hub.publish({ topic: "a", data: JSON.stringify("x".repeat(9000)), key: "k1" });
    reader.hub.publish({ topic: "a", data: JSON.stringify("x".repeat(bytes)), key: "k2" });
    await reader.settle();
    const topic = reader.worker.topics.find("a")!;
    const { length } = resetOf(topic).message;
    let published = 0;
    subscriptions.reset(topic, (message) => {
      published = message.length;
    });
    assert.equal(published, length < 16_384 ? length : 0);
    assert.equal(parking.has(reader.socket), length >= 16_384);
    await reader.read();
  }
});

it("many clients that asked for much share the loop: one turn of it serves only a few of them", async () => {
  const reader = await new Reader(GRACE_MS).connected();
  reader.hub.publish({
    topic: "a",
    data: JSON.stringify("x".repeat(12_000)),
    key: "k1",
  });
  reader.hub.publish({
    topic: "a",
    data: JSON.stringify("x".repeat(12_000)),
    key: "k2",
  });
  await reader.settle();
  const COUNT = 60;
  let served = 0;
  for (let i = 0; i < COUNT; i++) {
    const socket = reader.worker.accept(false);
    socket.cork = (send) => {
      served += 1;
      for (const endMs = performance.now() + 2; performance.now() < endMs; );
      send();
    };
    reader.worker.sessions.opened(socket, [{ topic: "a", since: undefined }]);
  }
  // Counted and not timed: on a busy machine a turn takes longer, and serves fewer.
  let max = 0;
  for (let turns = 0; served < COUNT; turns++) {
    assert.ok(turns < 2 * COUNT, `${served} of ${COUNT} served`);
    const before = served;
    await turn();
    max = Math.max(max, served - before);
  }
  assert.ok(max <= 6, `${max} in one turn of 10 ms, at 2 ms each`);
});
