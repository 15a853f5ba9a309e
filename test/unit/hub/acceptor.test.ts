/** The hub's end of the links, over a real unix socket: the pipe paces answers, versions are checked, frames wait for the log. */
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
  frames: Frame[] = [];
  readonly lines: string[] = [];
  relinked = 0;
  /** Frames wait for `acceptor.release()` instead of the end of the turn. */
  isHeld = false;
  readonly #dir = mkdtempSync(join(tmpdir(), "megagate-acceptor-"));
  #worker!: Socket;

  constructor({ addressLimit = 0 } = {}) {
    this.acceptor = new Acceptor(this.hub, {
      path: join(this.#dir, "hub"),
      token: "t",
      queueBytes: QUEUE_BYTES,
      addressLimit,
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
    const { socket, frames } = this.connect();
    this.frames = frames;
    this.#worker = socket;
    return socket;
  }

  /** One more worker's end. */
  connect(): { readonly socket: Socket; readonly frames: Frame[] } {
    const frames: Frame[] = [];
    const socket = connect(join(this.#dir, "hub"));
    const reader = new FrameReader();
    socket.on("data", (chunk: Buffer) => frames.push(...reader.read(chunk)));
    return { socket, frames };
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

describe("the acceptor", () => {
  it("rule 9: answers thousands of requests as fast as the pipe takes them, and never overflows a queue", async () => {
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
    // A publication in the meantime does count, and fits.
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
      "the answer",
      () => pipe.frames.at(-1),
      (frame) => frame?.type === "unserved",
    );
    assert.deepEqual(pipe.frames.at(-1), { type: "unserved", topics: ["b"] });
  });

  it("rule 10: no frame leaves before the change that it carries is in the log", async () => {
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

  it("refuses a worker of another version, with the reason and the remedy, and closes its link", async () => {
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

  it("cuts the link of a worker that sends garbage, and says so", async () => {
    await using pipe = new Pipe();
    const worker = await pipe.dial();
    worker.write(Buffer.from([1, 0, 0, 0, 99]));
    await until(
      "closed",
      () => pipe.isOpen,
      (isOpen) => !isOpen,
    );
    assert.match(pipe.lines.join(), /broken frame from a worker; link cut/);
    assert.equal(pipe.acceptor.queues().length, 0);
  });

  it("applies backpressure from half of a queue down to a quarter", async () => {
    await using pipe = new Pipe();
    const worker = await pipe.dial();
    worker.write(Buffer.concat([encode(hello), encode(follow("t")), encode({ type: "relinked" })]));
    await until(
      "linked",
      () => pipe.relinked,
      (n) => n === 1,
    );
    assert.equal(pipe.acceptor.backpressure(), undefined);
    worker.pause();
    const data = JSON.stringify("x".repeat(10_000));
    while ((pipe.acceptor.queues()[0]?.bytes ?? 0) < QUEUE_BYTES / 2) {
      pipe.hub.publish({ topic: "t", data });
      await new Promise(setImmediate);
    }
    const drained = pipe.acceptor.backpressure();
    assert.ok(drained, "publishers wait");
    worker.resume();
    await drained;
    assert.ok(pipe.acceptor.queues()[0]!.bytes <= QUEUE_BYTES / 4);
    assert.equal(pipe.acceptor.overflows, 0);
  });

  it("adds up subscribers over the workers that follow a topic, and asks no other", async () => {
    await using pipe = new Pipe();
    const worker = await pipe.dial();
    worker.write(Buffer.concat([encode(hello), encode(follow("t"))]));
    await until(
      "followed",
      () => pipe.hub.followers("t").length,
      (n) => n === 1,
    );
    assert.equal(await pipe.acceptor.subscribers("other"), 0);
    const each = pipe.acceptor.subscribersOfEach(["t", "other"]);
    const ask = await until(
      "asked",
      () => pipe.frames.find((frame) => frame.type === "ask"),
      (frame) => frame !== undefined,
    );
    assert.ok(ask?.type === "ask");
    assert.deepEqual(ask.question, { topics: ["t", "other"] });
    worker.write(encode({ type: "reply", id: ask.id, counts: [7, 0] }));
    assert.deepEqual(await each, [7, 0]);
  });

  it("forgets what a worker follows when its link closes", async () => {
    await using pipe = new Pipe();
    const worker = await pipe.dial();
    worker.write(Buffer.concat([encode(hello), encode(follow("t"))]));
    await until(
      "followed",
      () => pipe.acceptor.isLinked(hello.pid) && pipe.hub.followers("t").length,
      (n) => n === 1,
    );
    worker.destroy();
    await until(
      "forgotten",
      () => pipe.hub.followers("t").length,
      (n) => n === 0,
    );
    assert.equal(pipe.acceptor.isLinked(hello.pid), false);
  });

  it("notifies a worker that links of the addresses at their limit", async () => {
    await using pipe = new Pipe({ addressLimit: 2 });
    const worker = await pipe.dial();
    const counts = [["10.0.0.1", 2]] as const;
    worker.write(Buffer.concat([encode(hello), encode({ type: "addresses", counts })]));
    const isAtLimit = (frames: readonly Frame[]): boolean => frames.some(({ type }) => type === "atLimit");
    await until("notified", () => pipe.frames, isAtLimit);
    const second = pipe.connect();
    second.socket.write(encode({ ...hello, worker: 1, pid: 2 }));
    await until("notified", () => second.frames, isAtLimit);
    assert.deepEqual(
      second.frames.map(({ type }) => type),
      ["welcome", "atLimit"],
    );
    second.socket.destroy();
  });
});
