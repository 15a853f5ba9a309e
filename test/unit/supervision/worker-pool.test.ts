/** The worker processes as a group: real processes of a stub; which of them listen beyond their caps is pure. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ChildReport, StartWorker } from "../../../src/supervision/control-channel.js";
import { isFull, WorkerPool, type WorkerSlot, workersThatMustOverflow } from "../../../src/supervision/worker-pool.js";
import { until } from "../../support/wait.js";
import { DIE, order, REPORT_FULL, STUB } from "./stub-child.js";

const slotIn = (state: "room" | "full" | "dead" | "leaving"): WorkerSlot => ({
  up: state !== "dead",
  full: state === "full",
  leaving: state === "leaving",
});
const of = (...states: Parameters<typeof slotIn>[0][]): WorkerSlot[] => states.map(slotIn);
const helpless = (slots: WorkerSlot[]): number[] =>
  [...workersThatMustOverflow(slots)].map((one) => slots.indexOf(one));

describe("who listens beyond its cap", () => {
  it("nobody while two have room", () => {
    assert.deepEqual(helpless(of("room", "full", "room")), []);
  });
  it("the last one with room, before it is full", () => {
    assert.deepEqual(helpless(of("full", "room", "full")), [1]);
    assert.deepEqual(helpless(of("room")), [0]);
  });
  it("all when none has room: the dead, the starting and the leaving offer none", () => {
    assert.deepEqual(helpless(of("full", "full")), [0, 1]);
    assert.deepEqual(helpless(of("full", "dead", "leaving")), [0, 1, 2]);
  });
  it("is full when every one that is up is; nobody can say while none is", () => {
    assert.equal(isFull(of("full", "dead", "full")), true);
    assert.equal(isFull(of("full", "room", "dead")), false);
    assert.equal(isFull(of("leaving", "dead")), undefined);
    assert.equal(isFull([]), undefined);
  });
});

/** A pool of stubs, and what it told its supervisor. */
class PoolOfStubs implements AsyncDisposable {
  readonly reports: ChildReport[] = [];
  readonly sizes: number[] = [];
  readonly ended: number[] = [];
  readonly lines: string[] = [];
  readonly pool = new WorkerPool({
    entry: STUB,
    log: (level, message) => this.lines.push(`${level} ${message}`),
    startMessage: () => ({ type: "startWorker" }) as StartWorker,
    onMessage: (message) => this.reports.push(message),
    onEarlyDeath: () => undefined,
    onSizeChanged: (size) => this.sizes.push(size),
    ended: (slot) => this.ended.push(slot),
  });

  async grow(to: number): Promise<void> {
    while (this.pool.workers.length < to) this.pool.spawn();
    await until(
      "all are ready",
      () => this.pool.workers.every(({ up }) => up),
      (ready) => ready,
    );
  }

  /** What the workers were told about listening beyond their caps, in order. */
  get overflows(): boolean[] {
    return this.reports.flatMap((message) => (message.type === "load" ? [message.load.ready] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.stop(5000, { reason: "drain", among: 1, perSecond: 1, withinMs: 0 });
  }
}

describe("the worker pool", () => {
  it("gives each worker the first free slot, and a replaced one's slot to the next", async () => {
    await using stubs = new PoolOfStubs();
    await stubs.grow(3);
    const { pool } = stubs;
    assert.deepEqual(
      pool.workers.map(({ slot }) => slot),
      [0, 1, 2],
    );
    const cut = await pool.replace(pool.workers[1]!, 5000, { reason: "restart", among: 1, perSecond: 1, withinMs: 9 });
    assert.deepEqual([cut, pool.ended, stubs.ended], [false, { restarts: 0, rolled: 1 }, [1]]);
    assert.equal(pool.spawn().slot, 1);
    assert.deepEqual(stubs.sizes, [1, 2, 3, 2, 3]);
  });

  it("counts a death, and starts the worker again in its slot", async () => {
    await using stubs = new PoolOfStubs();
    await stubs.grow(2);
    stubs.pool.workers[1]!.child.send(order(DIE));
    await until(
      "it died",
      () => stubs.ended,
      (ended) => ended.length === 1,
    );
    await stubs.grow(2);
    assert.deepEqual([stubs.ended, stubs.pool.ended], [[1], { restarts: 1, rolled: 0 }]);
  });

  it("tells the last worker with room to listen beyond its cap, and everybody once none has room", async () => {
    await using stubs = new PoolOfStubs();
    await stubs.grow(2);
    const before = stubs.overflows.length;
    const [first, second] = stubs.pool.workers;
    first!.child.send(order(REPORT_FULL));
    await until(
      "the other one must listen beyond its cap",
      () => second!.overflow,
      (overflow) => overflow,
    );
    assert.equal(first!.overflow, false);
    second!.child.send(order(REPORT_FULL));
    await until(
      "both must",
      () => first!.overflow && second!.overflow,
      (overflow) => overflow,
    );
    await until(
      "their answers have come",
      () => stubs.overflows.length,
      (count) => count >= before + 2,
    );
    assert.ok(stubs.lines.includes("warn every worker that is up is at its cap; new clients get 503"));
  });
});
