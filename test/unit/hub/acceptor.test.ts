/** The hub's listening end over a real unix socket: answers are paced by the pipe, versions are checked, frames wait for the log. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Acceptor } from "../../../src/hub/acceptor.js";
import type { Hub } from "../../../src/hub/hub.js";
import { encode, type Frame, FrameReader, WIRE_VERSION } from "../../../src/hub/wire.js";
import { follow, makeHub } from "../../support/hub.js";
import { until } from "../../support/wait.js";

const QUEUE_BYTES = 1_048_576;
const hello = { type: "hello", version: WIRE_VERSION, worker: 0, pid: 1, token: "t" } as const;

class Pipe implements AsyncDisposable {
  readonly hub: Hub = makeHub();
  readonly acceptor: Acceptor;
  readonly frames: Frame[] = [];
  readonly lines: string[] = [];
  relinked = 0;
  /** Frames leave when this is called, or at once. */
  isHeld = false;
  readonly #dir = mkdtempSync(join(tmpdir(), "megagate-acceptor-"));
  #worker!: Socket;

  constructor() {
    this.acceptor = new Acceptor(this.hub, {
      path: join(this.#dir, "hub"),
      token: "t",
      queueBytes: QUEUE_BYTES,
      addressLimit: 0,
      log: (_level, message) => void this.lines.push(message),
      onCounters: () => undefined,
      onLinked: () => undefined,
      onLeft: () => undefined,
      onRelinked: () => {
        this.relinked += 1;
      },
      onWaiting: () => void setImmediate(() => this.isHeld || this.acceptor.release()),
    });
  }

  async dial(): Promise<Socket> {
    await this.acceptor.listen();
    this.#worker = connect(join(this.#dir, "hub"));
    const reader = new FrameReader();
    this.#worker.on("data", (chunk: Buffer) => this.frames.push(...reader.read(chunk)));
    return this.#worker;
  }

  get isOpen(): boolean {
    return !this.#worker.destroyed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#worker.destroy();
    this.acceptor.close();
    rmSync(this.#dir, { recursive: true });
    return Promise.resolve();
  }
}

describe("the hub's listening end", () => {
  it("rule 9: answers thousands of requests as fast as the pipe takes them, and never overflows its own queue", async () => {
    await using pipe = new Pipe();
    const topics = Array.from({ length: 1000 }, (_, n) => `b:${n}`);
    for (const topic of topics) pipe.hub.publish({ topic, key: "k", data: JSON.stringify("x".repeat(11_000)) });
    const worker = await pipe.dial();
    worker.pause();
    worker.write(Buffer.concat([encode(hello), ...topics.map((topic, n) => encode(follow(topic, n)))]));
    await until(
      "the pipe is full",
      () => pipe.acceptor.unanswered,
      (n) => n > 0 && n < 1000,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    const [queue] = pipe.acceptor.queues();
    assert.ok(queue!.bytes < QUEUE_BYTES / 2, `${queue!.bytes} bytes wait`);
    // A publication that comes meanwhile counts, and fits.
    pipe.hub.publish({ topic: "b:0", data: "1" });
    worker.resume();
    await until(
      "all are answered",
      () => pipe.frames.filter(({ type }) => type === "topicSync").length,
      (n) => n === 1000,
    );
    assert.deepEqual([pipe.acceptor.overflows, pipe.isOpen, pipe.acceptor.unanswered], [0, true, 0]);
  });

  it("rule 9: one answer larger than the queue passes; publications beyond it cut the link", async () => {
    await using pipe = new Pipe();
    for (let n = 0; n < 100; n++)
      pipe.hub.publish({ topic: "t", key: `k${n % 10}`, data: JSON.stringify("x".repeat(200_000)) });
    const worker = await pipe.dial();
    worker.pause();
    worker.write(Buffer.concat([encode(hello), encode(follow("t"))]));
    await until(
      "answered",
      () => pipe.acceptor.queues()[0]?.bytes ?? 0,
      (n) => n > QUEUE_BYTES,
    );
    assert.equal(pipe.acceptor.overflows, 0);
    for (let n = 0; n < 20; n++) pipe.hub.publish({ topic: "t", data: JSON.stringify("x".repeat(100_000)) });
    assert.equal(pipe.acceptor.overflows, 1);
  });

  it("rule 7: names the topics that it does not serve", async () => {
    await using pipe = new Pipe();
    const worker = await pipe.dial();
    worker.write(Buffer.concat([encode(hello), encode(follow("a")), encode({ type: "compare", topics: ["a", "b"] })]));
    await until(
      "told",
      () => pipe.frames.at(-1),
      (frame) => frame?.type === "unserved",
    );
    assert.deepEqual(pipe.frames.at(-1), { type: "unserved", topics: ["b"] });
  });

  it("rule 10: no frame leaves before what it tells is in the log", async () => {
    await using pipe = new Pipe();
    const worker = await pipe.dial();
    worker.write(Buffer.concat([encode(hello), encode(follow("a")), encode({ type: "relinked" })]));
    await until(
      "linked",
      () => pipe.relinked,
      (n) => n === 1,
    );
    await until(
      "answered",
      () => pipe.frames.length,
      (n) => n === 2,
    );
    pipe.isHeld = true;
    pipe.hub.publish({ topic: "a", data: "1" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(pipe.frames.length, 2);
    pipe.acceptor.release();
    await until(
      "it leaves",
      () => pipe.frames.at(-1)?.type,
      (type) => type === "publication",
    );
  });

  it("refuses a worker of another version in words, and forgets it", async () => {
    await using pipe = new Pipe();
    const worker = await pipe.dial();
    worker.write(encode({ ...hello, version: WIRE_VERSION + 1 }));
    await until(
      "refused",
      () => pipe.frames[0],
      (frame) => frame !== undefined,
    );
    const [refused] = pipe.frames;
    assert.ok(refused?.type === "refused");
    assert.match(refused.reason, /the program was replaced while it ran; restart the whole gateway/);
    await until(
      "closed",
      () => pipe.acceptor.queues().length,
      (n) => n === 0,
    );
  });
});
