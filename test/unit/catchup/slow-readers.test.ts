/** Slow readers of a `disconnect` topic: what their grace allows, and what ends it. Only sockets and pipes are fakes. */
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

class Scene {
  readonly hub = makeHub({ rules });
  readonly believer = new ClientModel();
  readonly worker: FakeWorker;
  readonly #before = Float64Array.from(counters);
  #laterMs = 0;

  constructor(graceMs: number) {
    this.worker = new FakeWorker(this, graceMs);
  }

  get socket(): FakeSocket {
    return this.believer.socket!;
  }

  counted(slot: keyof typeof SLOT): number {
    return counters[SLOT[slot]]! - this.#before[SLOT[slot]]!;
  }

  async connected(): Promise<this> {
    this.worker.connect(this.believer, false);
    await this.arrive();
    this.socket.slow = true;
    return this;
  }

  async publish(count: number, topic = "a"): Promise<void> {
    for (let i = 0; i < count; i++) this.hub.publish({ topic, data: JSON.stringify("x".repeat(9000)), key: "k1" });
    await this.arrive();
  }

  async arrive(): Promise<void> {
    this.worker.step(1000);
    for (let i = 0; i < 3; i++) await turn();
    this.believer.check();
  }

  async read(): Promise<void> {
    this.socket.slow = false;
    for (let i = 0; i < 20; i++) {
      this.socket.buffered = 0;
      this.worker.sessions.drained(this.socket);
      await turn();
    }
    this.believer.check();
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

it("who reads again in time gets what it missed, in order, and is live again", async () => {
  const scene = await new Scene(GRACE_MS).connected();
  await scene.publish(6);
  assert.equal(scene.counted("slowReaders"), 1);
  await scene.tick(GRACE_MS - 1000);
  assert.ok(scene.socket.open, "its grace is not over");
  await scene.read();
  await scene.publish(1);
  assert.equal(scene.believer.positions.get("a")?.offset, 7);
  assert.ok(scene.socket.topics.has("a"));
  assert.deepEqual([scene.counted("slowReaders"), scene.counted("slowReadersCaughtUp")], [0, 1]);
  assert.equal(scene.counted("unsent_disconnect"), 0);
});

it("who has not caught up when the grace is over is cut, and what it did not get is counted", async () => {
  const scene = await new Scene(GRACE_MS).connected();
  await scene.publish(6);
  await scene.tick(GRACE_MS);
  assert.equal(scene.socket.open, false);
  const got = scene.believer.positions.get("a")!.offset;
  assert.ok(got > 0 && got < 6);
  assert.equal(scene.counted("unsent_disconnect"), 6 - got);
  assert.equal(scene.counted("closed_slow"), 1);
});

it("who missed more than the history holds is cut at the next look, before the grace is over", async () => {
  const scene = await new Scene(GRACE_MS).connected();
  await scene.publish(4);
  await scene.publish(7);
  assert.ok(scene.socket.open);
  await scene.tick(0);
  assert.equal(scene.socket.open, false);
  assert.equal(scene.counted("unsent_disconnect"), 11 - scene.believer.positions.get("a")!.offset);
});

it("who reads again between the look and the loss is cut too: it is never sent on without what it missed", async () => {
  const scene = await new Scene(GRACE_MS).connected();
  await scene.publish(4);
  await scene.publish(7);
  scene.socket.buffered = 0;
  scene.worker.sessions.drained(scene.socket);
  await turn();
  await turn();
  assert.equal(scene.socket.open, false);
});

it("without grace a full buffer ends the connection", async () => {
  const scene = await new Scene(0).connected();
  await scene.publish(4);
  assert.equal(scene.socket.open, false);
  assert.equal(scene.counted("unsent_disconnect"), 4 - scene.believer.positions.get("a")!.offset);
});

it("a reader that lacks nothing of a disconnect topic stays, however long it lacks others", async () => {
  const scene = await new Scene(0).connected();
  await scene.publish(4, "d:1");
  await scene.tick(3_600_000);
  assert.ok(scene.socket.open);
  await scene.publish(1, "a");
  await scene.tick(0);
  assert.equal(scene.socket.open, false);
});

it("an answer behind pushes that fill the buffer: its topic is followed nevertheless", async () => {
  const scene = await new Scene(GRACE_MS).connected();
  const { socket, worker } = scene;
  const ask = (reqtype: string): void =>
    worker.sessions.received(socket, Buffer.from(JSON.stringify({ reqtype, topic: "c:1" })), false);
  ask("Unsubscribe");
  // In one turn, so that the pushes are pending when the answer is sent.
  for (let i = 0; i < 4; i++) scene.hub.publish({ topic: "d:1", data: JSON.stringify("x".repeat(9000)), key: "k1" });
  worker.step(1000);
  ask("Subscribe");
  await turn();
  assert.ok(worker.sessions.parking.has(socket));
  await scene.publish(1, "c:1");
  await scene.read();
  assert.ok(socket.open && socket.topics.has("c:1"));
  assert.match(socket.messages.at(-1)!, /"topic":"(?:c|d):1"/);
  assert.ok(socket.messages.some((text) => /^\{"topic":"c:1","offset":1/.test(text)));
});

describe("a reader that takes nothing of what it asked for", () => {
  const ask = (scene: Scene, request: object): void =>
    scene.worker.sessions.received(scene.socket, Buffer.from(JSON.stringify(request)), false);
  /** Seconds pass; it sends pongs, and asks again if it is told to. */
  const wait = async (scene: Scene, seconds: number, request?: object): Promise<void> => {
    for (let second = 0; second < seconds && scene.socket.open; second++) {
      scene.worker.sessions.pinged(scene.socket);
      if (request) ask(scene, request);
      await scene.second();
    }
  };
  const filled = async (graceMs = GRACE_MS): Promise<Scene> => {
    const scene = await new Scene(graceMs).connected();
    // A state above a portion for each topic, and an empty buffer.
    for (const topic of ["a", "c:1", "d:1"])
      for (const key of ["k1", "k2", "k3"]) scene.hub.publish({ topic, data: JSON.stringify("y".repeat(9000)), key });
    scene.socket.slow = false;
    await scene.arrive();
    scene.socket.slow = true;
    return scene;
  };

  for (const topic of ["a", "c:1", "d:1"]) {
    it(`is cut in the midst of a snapshot of ${topic} when its grace is over, whatever pongs it sends`, async () => {
      const scene = await filled();
      ask(scene, { reqtype: "Query", action: `all${topic}` });
      await turn();
      await wait(scene, 4);
      assert.ok(scene.socket.open, "its grace is not over");
      await wait(scene, 3);
      assert.equal(scene.socket.open, false);
      assert.deepEqual([scene.counted("closed_slow"), scene.counted("unsent_answer")], [1, 1]);
      assert.deepEqual([scene.counted("slowReaders"), scene.counted("parked")], [0, 0]);
    });
  }

  it("is cut although it asks again each second", async () => {
    const scene = await filled();
    await wait(scene, 8, { reqtype: "Subscribe", topic: "c:1", id: 1 });
    assert.equal(scene.socket.open, false);
    assert.equal(scene.counted("closed_slow"), 1);
  });

  it("is cut when what it asks piles up, before the grace is over", async () => {
    const scene = await filled();
    for (let i = 0; i < 200; i++) ask(scene, { reqtype: "Subscribe", topic: "c:1", id: i });
    await turn();
    await turn();
    assert.equal(scene.socket.open, false);
  });

  it("is cut in the midst of a history of a disconnect topic, and waited for where the policy bears with it", async () => {
    for (const topic of ["a", "c:1", "d:1"]) {
      const scene = await filled();
      const { epoch } = scene.hub.describe(topic)!;
      await scene.publish(3, topic);
      ask(scene, { reqtype: "Unsubscribe", topic });
      await scene.read();
      scene.socket.slow = true;
      scene.believer.positions.set(topic, { epoch, offset: 0 });
      ask(scene, { reqtype: "Subscribe", topic, since: { epoch, offset: 0 } });
      await turn();
      assert.ok(scene.worker.sessions.parking.has(scene.socket));
      await wait(scene, 7);
      assert.equal(scene.socket.open, topic !== "a", topic);
      if (topic === "a") continue;
      assert.equal(scene.counted("slowReaders"), 1);
      await scene.read();
      assert.equal(scene.believer.positions.get(topic)?.offset, 6);
      assert.equal(scene.counted("slowReaders"), 0);
    }
  });

  it("is not cut while it takes a portion now and then, nor for the time in which the worker stood still", async () => {
    const scene = await filled();
    ask(scene, { reqtype: "Query", action: "alla" });
    await turn();
    for (let portion = 0; portion < 4; portion++) {
      await wait(scene, 4);
      scene.socket.buffered = 0;
      scene.worker.sessions.drained(scene.socket);
      await turn();
    }
    await scene.tick(3_600_000);
    assert.ok(scene.socket.open);
  });

  it("without grace has two seconds for the next portion", async () => {
    const scene = await filled(0);
    ask(scene, { reqtype: "Query", action: "alla" });
    await turn();
    await wait(scene, 1);
    assert.ok(scene.socket.open);
    await wait(scene, 2);
    assert.equal(scene.socket.open, false);
  });
});

describe("a slow reader of a conflated topic", () => {
  it("gets every publication without a key, and of each key the newest, in their order", async () => {
    const scene = await new Scene(GRACE_MS).connected();
    const pad = "x".repeat(9000);
    // Fills the buffer; then six that the history holds.
    for (let i = 0; i < 4; i++)
      scene.hub.publish({ topic: "c:1", data: JSON.stringify({ n: 0, pad }), key: undefined });
    await scene.arrive();
    assert.equal(scene.counted("slowReaders"), 1);
    const before = scene.socket.messages.length;
    const keys = ["k1", undefined, "k1", undefined, "k1"];
    for (const [n, key] of keys.entries())
      scene.hub.publish({ topic: "c:1", data: JSON.stringify({ n: n + 1, pad }), key });
    await scene.arrive();
    scene.socket.slow = false;
    await scene.read();
    const got = scene.socket.messages
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
    assert.equal(scene.counted("unsent_conflate"), 2);
  });
});

it("a reset is published only where uWebSockets gathers it: of 16,384 bytes and more, readers are parked for it", async () => {
  const scene = await new Scene(GRACE_MS).connected();
  const { subscriptions, parking } = scene.worker.sessions;
  for (let bytes = 7100; bytes < 7400; bytes++) {
    scene.socket.slow = false;
    scene.hub.publish({ topic: "a", data: JSON.stringify("x".repeat(9000)), key: "k1" });
    scene.hub.publish({ topic: "a", data: JSON.stringify("x".repeat(bytes)), key: "k2" });
    await scene.arrive();
    const topic = scene.worker.topics.find("a")!;
    const { length } = resetOf(topic).message;
    let published = 0;
    subscriptions.reset(topic, (message) => {
      published = message.length;
    });
    assert.equal(published, length < 16_384 ? length : 0);
    assert.equal(parking.has(scene.socket), length >= 16_384);
    await scene.read();
  }
});

it("many who are sent much at their own wish share the loop: one turn of it takes no longer than a few of them", async () => {
  const scene = await new Scene(GRACE_MS).connected();
  scene.hub.publish({
    topic: "a",
    data: JSON.stringify("x".repeat(12_000)),
    key: "k1",
  });
  scene.hub.publish({
    topic: "a",
    data: JSON.stringify("x".repeat(12_000)),
    key: "k2",
  });
  await scene.arrive();
  const COUNT = 60;
  let served = 0;
  for (let i = 0; i < COUNT; i++) {
    const socket = scene.worker.accept(false);
    socket.cork = (send) => {
      served += 1;
      for (const endMs = performance.now() + 2; performance.now() < endMs; );
      send();
    };
    scene.worker.sessions.opened(socket, [{ topic: "a", since: undefined }]);
  }
  let longestMs = 0;
  let turns = 0;
  for (; served < COUNT; turns++) {
    assert.ok(turns < COUNT, `${served} of ${COUNT} served`);
    const startMs = performance.now();
    await turn();
    longestMs = Math.max(longestMs, performance.now() - startMs);
  }
  assert.ok(turns >= 5 && longestMs < 60, `${turns} turns, the longest ${longestMs} ms; together they take 120 ms`);
});
