/** A gateway that watches itself: what begins to bite is told once, what is over is told too, and every look is counted. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CAUSES } from "../../../../sysctl/attribution/causes.js";
import { type Snapshot, takeSnapshot } from "../../../../sysctl/attribution/counters.js";
import { type LimitChanges, LimitWatch, type LoadSample, WATCHED } from "../../../../sysctl/attribution/watch.js";
import { KernelFiles } from "../../../../sysctl/kernel/files.js";

const NONE = takeSnapshot(new KernelFiles("/nowhere/"));
const PRESENT: LoadSample = {
  connections: 1000,
  workers: 2,
  workersListening: 2,
  refusedFull: 0,
  lagSeconds: 0,
  cap: { connections: 5000, limit: "descriptors" },
};

/** Looks once a second of its own time. */
class Rehearsal {
  #kernel: Snapshot = NONE;
  #nowMs = 0;
  readonly #watch: LimitWatch;

  constructor(kernel: Partial<Snapshot> = {}) {
    this.#kernel = { ...NONE, ...kernel };
    this.#watch = new LimitWatch(() => this.#kernel, 2);
  }

  look(kernel: Partial<Snapshot> = {}, present: Partial<LoadSample> = {}): LimitChanges {
    this.#kernel = { ...this.#kernel, ...kernel };
    this.#nowMs += 1000;
    return this.#watch.sample({ ...PRESENT, ...present }, this.#nowMs);
  }

  count(limit: string): number | undefined {
    return this.#watch.counts.get(limit);
  }
}

const ids = (look: LimitChanges): string[] => look.began.map(({ id }) => id);

describe("a gateway's watch", () => {
  it("takes what was counted before it began for nobody's trouble, and is quiet where nothing moves", () => {
    const old = { listenDrops: 9000, listenOverflows: 9000, softnetDrops: 70, abortsOnMemory: 3, conntrackDrops: 5 };
    const rehearsal = new Rehearsal(old);
    assert.deepEqual(rehearsal.look(), { began: [], over: [] });
    for (const limit of WATCHED) assert.equal(rehearsal.count(limit), 0, limit);
  });

  it("tells once that the accept queue overflows, with numbers and remedy, and when there was no sign of it for ten seconds", () => {
    const rehearsal = new Rehearsal({ listenDrops: 9000, listenOverflows: 9000, somaxconn: 4096 });
    const [cause] = rehearsal.look({ listenDrops: 9040, listenOverflows: 9030 }).began;
    assert.equal(cause?.id, "accept-queue");
    assert.deepEqual([cause.numbers["listen drops"], cause.numbers["net.core.somaxconn"]], [40, 4096]);
    assert.match(cause.remedy, /net\.core\.somaxconn/);
    assert.doesNotMatch(cause.remedy, /--in-flight/, "an option of the load generator's");
    assert.deepEqual(ids(rehearsal.look({ listenDrops: 9100 })), []);
    assert.deepEqual(rehearsal.look({ listenDrops: 9101 }).over, []);
    assert.equal(rehearsal.count("accept-queue"), 3);
    for (let i = 1; i < 10; i++) assert.deepEqual(rehearsal.look().over, []);
    assert.deepEqual(rehearsal.look().over, [{ id: "accept-queue", seconds: 2 }]);
    assert.deepEqual(ids(rehearsal.look({ listenDrops: 9200 })), ["accept-queue"], "the next time is told anew");
  });

  it("names a full table of tracked connections, lost packets, memory of TCP and files", () => {
    const full = { conntrackCount: 5000, conntrackMax: 5000 };
    assert.deepEqual(ids(new Rehearsal().look(full)), ["conntrack"]);
    assert.deepEqual(ids(new Rehearsal({ softnetDrops: 1 }).look({ softnetDrops: 2 })), ["packet-backlog"]);
    const memory = { abortsOnMemory: 0, orphans: 1, orphansMax: 1000 };
    assert.deepEqual(ids(new Rehearsal(memory).look({ abortsOnMemory: 4 })), ["tcp-mem"]);
    assert.deepEqual(ids(new Rehearsal(memory).look({ abortsOnMemory: 4, orphans: 900 })), ["orphans"]);
    assert.deepEqual(ids(new Rehearsal().look({ filesOpen: 9999, filesMax: 10_000 })), ["file-max"]);
    assert.deepEqual(ids(new Rehearsal().look({ filesOpen: 9999 })), [], "who is exempt has no limit");
  });

  it("names the limit behind the workers' cap while clients are refused because of it", () => {
    const rehearsal = new Rehearsal();
    const full = { connections: 5000, refusedFull: 7 };
    assert.deepEqual(ids(rehearsal.look({}, full)), [], "what was refused before it began");
    const [cause] = rehearsal.look({}, { ...full, refusedFull: 9 }).began;
    assert.deepEqual([cause?.id, cause?.numbers["refused as full"]], ["descriptors", 2]);
    assert.equal(rehearsal.count("descriptors"), 1);
  });

  it("speaks of busy cores only where event loops are late, and only when it lasts", () => {
    const busy = (i: number): Partial<Snapshot> => ({ cpuTicks: i * 200, cpuBusyTicks: i * 199 });
    const idle = new Rehearsal(busy(0));
    for (let i = 1; i < 20; i++) assert.deepEqual(ids(idle.look(busy(i))), []);
    const late = new Rehearsal(busy(0));
    const lag = { lagSeconds: 2 };
    for (let i = 1; i < 5; i++) assert.deepEqual(ids(late.look(busy(i), lag)), []);
    assert.deepEqual(ids(late.look(busy(5), lag)), ["cpu"]);
    const pauses = new Rehearsal(busy(0));
    for (let i = 1; i < 20; i++) assert.deepEqual(ids(pauses.look(busy(i), i % 3 === 0 ? {} : lag)), []);
    assert.deepEqual([late.count("cpu"), pauses.count("cpu")], [1, 0]);
  });

  it("watches for causes that there are", () => {
    for (const limit of WATCHED)
      assert.ok(
        CAUSES.some(({ id, side }) => id === limit && side !== "client"),
        limit,
      );
  });
});
