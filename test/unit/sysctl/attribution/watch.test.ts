/** A gateway that watches itself: a cause is reported once when it begins and once when it is over, and each sample is counted. */
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

/** Takes one sample a second, by a clock of its own. */
class Rehearsal {
  #kernel: Snapshot = NONE;
  #nowMs = 0;
  readonly #watch: LimitWatch;

  constructor(kernel: Partial<Snapshot> = {}) {
    this.#kernel = { ...NONE, ...kernel };
    this.#watch = new LimitWatch(() => this.#kernel, 2);
  }

  sample(kernel: Partial<Snapshot> = {}, load: Partial<LoadSample> = {}): LimitChanges {
    this.#kernel = { ...this.#kernel, ...kernel };
    this.#nowMs += 1000;
    return this.#watch.sample({ ...PRESENT, ...load }, this.#nowMs);
  }

  count(limit: string): number | undefined {
    return this.#watch.counts.get(limit);
  }
}

const ids = (changes: LimitChanges): string[] => changes.began.map(({ id }) => id);

describe("a gateway's watch", () => {
  it("takes what was counted before it began for nobody's trouble, and is quiet where nothing moves", () => {
    const old = { listenDrops: 9000, listenOverflows: 9000, softnetDrops: 70, abortsOnMemory: 3, conntrackDrops: 5 };
    const rehearsal = new Rehearsal(old);
    assert.deepEqual(rehearsal.sample(), { began: [], over: [] });
    for (const limit of WATCHED) assert.equal(rehearsal.count(limit), 0, limit);
  });

  it("reports once that the accept queue overflows, with numbers and remedy, and when it is over after ten quiet seconds", () => {
    const rehearsal = new Rehearsal({ listenDrops: 9000, listenOverflows: 9000, somaxconn: 4096 });
    const [cause] = rehearsal.sample({ listenDrops: 9040, listenOverflows: 9030 }).began;
    assert.equal(cause?.id, "accept-queue");
    assert.deepEqual([cause.numbers["listen drops"], cause.numbers["net.core.somaxconn"]], [40, 4096]);
    assert.match(cause.remedy, /net\.core\.somaxconn/);
    assert.doesNotMatch(cause.remedy, /--in-flight/, "an option of the load generator's");
    assert.deepEqual(ids(rehearsal.sample({ listenDrops: 9100 })), []);
    assert.deepEqual(rehearsal.sample({ listenDrops: 9101 }).over, []);
    assert.equal(rehearsal.count("accept-queue"), 3);
    for (let i = 1; i < 10; i++) assert.deepEqual(rehearsal.sample().over, []);
    assert.deepEqual(rehearsal.sample().over, [{ id: "accept-queue", seconds: 2 }]);
    assert.deepEqual(ids(rehearsal.sample({ listenDrops: 9200 })), ["accept-queue"], "the next time is reported again");
  });

  it("names a full table of tracked connections, lost packets, memory of TCP and files", () => {
    const full = { conntrackCount: 5000, conntrackMax: 5000 };
    assert.deepEqual(ids(new Rehearsal().sample(full)), ["conntrack"]);
    assert.deepEqual(ids(new Rehearsal({ softnetDrops: 1 }).sample({ softnetDrops: 2 })), ["packet-backlog"]);
    const memory = { abortsOnMemory: 0, orphans: 1, orphansMax: 1000 };
    assert.deepEqual(ids(new Rehearsal(memory).sample({ abortsOnMemory: 4 })), ["tcp-mem"]);
    assert.deepEqual(ids(new Rehearsal(memory).sample({ abortsOnMemory: 4, orphans: 900 })), ["orphans"]);
    assert.deepEqual(ids(new Rehearsal().sample({ filesOpen: 9999, filesMax: 10_000 })), ["file-max"]);
    assert.deepEqual(ids(new Rehearsal().sample({ filesOpen: 9999 })), [], "an exempt process has no limit");
  });

  it("names the limit behind the workers' cap while clients are refused because of it", () => {
    const rehearsal = new Rehearsal();
    const full = { connections: 5000, refusedFull: 7 };
    assert.deepEqual(ids(rehearsal.sample({}, full)), [], "what was refused before it began");
    const [cause] = rehearsal.sample({}, { ...full, refusedFull: 9 }).began;
    assert.deepEqual([cause?.id, cause?.numbers["refused as full"]], ["descriptors", 2]);
    assert.equal(rehearsal.count("descriptors"), 1);
  });

  it("speaks of busy cores only where event loops are late, and only when it lasts", () => {
    const busy = (i: number): Partial<Snapshot> => ({ cpuTicks: i * 200, cpuBusyTicks: i * 199 });
    const idle = new Rehearsal(busy(0));
    for (let i = 1; i < 20; i++) assert.deepEqual(ids(idle.sample(busy(i))), []);
    const late = new Rehearsal(busy(0));
    const lag = { lagSeconds: 2 };
    for (let i = 1; i < 5; i++) assert.deepEqual(ids(late.sample(busy(i), lag)), []);
    assert.deepEqual(ids(late.sample(busy(5), lag)), ["cpu"]);
    const pauses = new Rehearsal(busy(0));
    for (let i = 1; i < 20; i++) assert.deepEqual(ids(pauses.sample(busy(i), i % 3 === 0 ? {} : lag)), []);
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
