/** The private pipe between hub and workers: any bytes are frames or a fault at once, and take no memory before they arrive. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Acceptor } from "../../src/hub/acceptor.js";
import { encode, type Frame, FrameReader, WIRE_VERSION } from "../../src/hub/wire.js";
import { TopicRules } from "../../src/topics/rules.js";
import { follow, makeHub } from "../support/hub.js";
import { until } from "../support/wait.js";
import { mutated } from "./mutate.js";
import { Random } from "./random.js";

const FRAMES: readonly Frame[] = [
  { type: "hello", version: WIRE_VERSION, worker: 0, pid: 1, token: "t" },
  { type: "follow", topic: "a", request: 1, epoch: "e.0", offset: 5 },
  { type: "unfollow", topic: "a" },
  { type: "counters", values: new Float64Array([1, 2, 3]) },
  { type: "publication", topic: "a", offset: 1, key: "k", push: Buffer.from("{}") },
  { type: "compare", topics: ["a", "b"] },
  { type: "relinked" },
  { type: "reply", id: 7, subscribers: 3 },
];

/** Frames, damaged. */
const damaged = fc
  .tuple(fc.nat(), fc.array(fc.constantFrom(...FRAMES), { minLength: 1, maxLength: 6 }))
  .map(([seed, frames]) => mutated(Buffer.concat(frames.map(encode)), new Random(seed), 1 + (seed % 5)));
const anyBytes = fc.oneof(
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 3, arbitrary: damaged },
);

describe("the hub's pipe", () => {
  it("any bytes are frames, a fault, or the beginning of a frame, however they are cut", () => {
    const read = (bytes: Buffer, piece: number): string => {
      const reader = new FrameReader();
      let frames = 0;
      try {
        for (let at = 0; at < bytes.length; at += piece)
          for (const _ of reader.read(bytes.subarray(at, at + piece))) frames += 1;
        return `${frames} frames`;
      } catch (error) {
        assert.ok(error instanceof RangeError || error instanceof SyntaxError, String(error));
        return `${frames} frames, then ${error.name}`;
      }
    };
    fc.assert(
      fc.property(anyBytes, fc.integer({ min: 1, max: 40 }), (bytes, piece) => {
        assert.ok(bytes.length === 0 || read(bytes, bytes.length).length > 0);
        assert.equal(read(bytes, piece), read(bytes, Math.max(1, bytes.length)));
      }),
      { numRuns: 3000 },
    );
  });

  it("a frame that announces 64 MB takes memory only for what has arrived", () => {
    const reader = new FrameReader();
    const head = Buffer.alloc(5);
    head.writeUInt32LE(64 * 1024 * 1024);
    const before = process.memoryUsage().arrayBuffers;
    assert.deepEqual([...reader.read(head)], []);
    assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
  });

  it("a local peer that sends garbage loses its link; hub and other links go on", { timeout: 60_000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), "megagate-fuzz-"));
    const rules = { historyCount: 10, historyBytes: 1e6, historySeconds: 60, stateKeys: 10, slowReaders: "disconnect" };
    const hub = makeHub({ rules: new TopicRules(rules as ConstructorParameters<typeof TopicRules>[0], "") });
    const faults: string[] = [];
    const acceptor: Acceptor = new Acceptor(hub, {
      path: join(dir, "hub"),
      token: "t",
      queueBytes: 1e6,
      addressLimit: 2,
      log: (_level, message) => void faults.push(message),
      onCounters: () => undefined,
      onLinked: () => undefined,
      onLeft: () => undefined,
      onRelinked: () => undefined,
      onWaiting: () => void setImmediate(() => acceptor.release()),
    });
    await acceptor.listen();
    let received = 0;
    const good = connect(join(dir, "hub"));
    good.on("data", () => {
      received += 1;
    });
    good.write(Buffer.concat([encode(FRAMES[0]!), encode(follow("good"))]));
    const seeds = fc.sample(anyBytes, 300);
    for (const bytes of seeds) {
      await new Promise<void>((resolve) => {
        const socket = connect(join(dir, "hub"));
        socket.on("error", () => undefined);
        socket.on("close", () => resolve());
        socket.resume();
        socket.end(bytes);
      });
    }
    assert.ok(faults.length > 50, `${faults.length} of 300 were faults`);
    const before = received;
    hub.publish({ topic: "good", data: "1" });
    await until(
      "the good link gets frames",
      () => received,
      (n) => n > before,
    );
    good.destroy();
    acceptor.close();
    rmSync(dir, { recursive: true });
  });
});
