/** One ramp as the observer sees it: a fake kernel whose tables fill up, and a fake gateway that answers or does not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Curve } from "../../../../load/attribution/curve.js";
import { type Moment, Observer } from "../../../../load/attribution/observer.js";
import { type Snapshot, takeSnapshot } from "../../../../sysctl/attribution/counters.js";
import type { GatewayNumbers } from "../../../../sysctl/attribution/proofs.js";
import { KernelFiles } from "../../../../sysctl/kernel/files.js";
import { until } from "../../../support/wait.js";

const RUN = {
  target: 6000,
  colocated: true,
  cores: 2,
  generators: 2,
  nofile: 20_000,
  sources: 2,
  ports: 28_232,
  wholeRange: false,
};
const GATEWAY: GatewayNumbers = {
  connections: 10,
  workers: 2,
  workersExpected: 2,
  workersListening: 2,
  refusedFull: 500,
  restarts: 3,
  cap: 10_000,
  capLimit: "descriptors",
  descriptorsLeft: 5000,
};
/** This kernel's counters, but its open files: another test may have lowered fs.file-max meanwhile. */
const quiet: Snapshot = { ...takeSnapshot(new KernelFiles()), filesOpen: 1000, filesMax: 1_000_000 };
const moment = (open: number, changes: Partial<Moment> = {}): Moment => ({
  open,
  failed: {},
  freeBytes: 9e9,
  floorBytes: 1e9,
  ...changes,
});

/** A curve that stands still at `open`. */
function stoppedAt(open: number): Curve {
  const curve = new Curve();
  curve.begin();
  curve.add(0);
  curve.add(open);
  return curve;
}

describe("observer", () => {
  it("proves by what grew during the ramp, not by what existed before it", async () => {
    let now: Snapshot = { ...quiet, conntrackDrops: 70, conntrackCount: 10, conntrackMax: 5000, softnetDrops: 9 };
    const observer = new Observer(RUN, { kernel: () => now, gateway: () => Promise.resolve(GATEWAY) });
    await observer.begin();
    now = { ...now, conntrackDrops: 75, conntrackCount: 5000 };
    const plateau = await observer.conclude(moment(4990, { failed: { timeout: 40 } }), stoppedAt(4990));
    assert.equal(plateau?.connections, 4990);
    assert.deepEqual(
      plateau.causes.map(({ id, numbers }) => [id, numbers.dropped]),
      [["conntrack", 5]],
    );
    assert.equal(plateau.causes[0]?.firstSeenAt, 4990);
  });

  it("remembers the highest level, though it is lower at the end", async () => {
    let now: Snapshot = { ...quiet, conntrackCount: 5000, conntrackMax: 5000 };
    const observer = new Observer(RUN, { kernel: () => now, gateway: () => Promise.resolve(null) });
    await observer.begin();
    now = { ...now, conntrackCount: 3 };
    const plateau = await observer.conclude(moment(4990), stoppedAt(4990));
    assert.equal(plateau?.causes[0]?.id, "conntrack");
  });

  it("takes the gateway's counters since the ramp began, and its last answer where it answers no more", async () => {
    const answers = [GATEWAY, { ...GATEWAY, connections: 9999, workersListening: 0, refusedFull: 520 }];
    const kernel = (): Snapshot => quiet;
    const observer = new Observer(RUN, { kernel, gateway: () => Promise.resolve(answers.shift() ?? null) });
    await observer.begin();
    const first = await observer.conclude(moment(4990, { failed: { http_503: 20 } }), stoppedAt(4990));
    assert.deepEqual(
      first?.causes.map(({ id, numbers }) => [id, numbers["refused as full"]]),
      [["descriptors", 20]],
    );
    const again = await observer.conclude(moment(4990, { failed: { http_503: 20 } }), stoppedAt(4990));
    assert.deepEqual(again?.causes, first.causes);
  });

  it("finds no plateau in a ramp that reached its target without a pause", async () => {
    const observer = new Observer(RUN, { kernel: () => quiet, gateway: () => Promise.resolve(null) });
    await observer.begin();
    assert.equal(await observer.conclude(moment(6000), stoppedAt(6000)), null);
    assert.equal(observer.hint, "");
  });

  it("gives a hint while the curve is flat, and none once it rises again", async () => {
    let now: Snapshot = quiet;
    const observer = new Observer(RUN, { kernel: () => now, gateway: () => Promise.resolve(null) });
    await observer.begin();
    const flat = { flat: true, points: [[0, 0]] } as unknown as Curve;
    now = { ...quiet, softnetDrops: quiet.softnetDrops + 7 };
    observer.sample(moment(4000), flat);
    assert.match(observer.hint, /^flat: packet-backlog: .* \(dropped 7, SYN retransmits 0\)$/);
    // It samples once a second, and at the end.
    await observer.conclude(moment(6000), stoppedAt(6000));
    const rising = { flat: false, points: [[0, 0]] } as unknown as Curve;
    await until(
      "the next sample",
      () => {
        observer.sample(moment(5000), rising);
        return observer.hint;
      },
      (hint) => hint === "",
    );
  });
});
