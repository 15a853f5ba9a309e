/**
 * Predicted ceilings against real ones: each limit is lowered in turn, `megagate doctor` predicts under the same limits how many
 * connections fit, and a load that is forced to open more stops there, within one per cent, and names the limit.
 * The file runs in a network namespace of its own. Tests that a machine does not allow are skipped with the reason.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { after, describe, it } from "node:test";
import type { Evidence } from "../../load/evidence/evidence.js";
import type { doctorJson } from "../../sysctl/doctor/json.js";
import { MachineReader } from "../../sysctl/kernel/machine.js";
import { Keeper } from "../../sysctl/prove/keeping.js";
import { enterNewNamespace } from "../../sysctl/prove/namespace.js";
import { trackConnections } from "../../sysctl/prove/tracking.js";
import { loadIn } from "../support/evidence.js";
import { cli, Gateway, type RunEnvironment } from "../support/gateway.js";
import { Lowered } from "../support/lowered-sysctl.js";
import { needsRoot } from "../support/needs.js";

type Row = ReturnType<typeof doctorJson>["ceilings"][number];

const EPOLL_WATCHES = "/proc/sys/fs/epoll/max_user_watches";
const FILE_MAX = "/proc/sys/fs/file-max";
const PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range";
const NOBODY: RunEnvironment = { user: 65_534 };
const SOMEBODY: RunEnvironment = { user: 65_533 };
const QUICK = ["--force", "--hold-seconds", "0", "--broadcasts", "0", "--connect-timeout-seconds", "2"];
const BOUNDED = ["--time-limit-seconds", "60"];

const refusal = (error: unknown): string => (error instanceof Error ? error.message : String(error));

// Only the first network namespace may change nf_conntrack_max: the keeper must start before this process leaves it.
let noTracking = needsRoot("to set nf_conntrack_max");
const keeper = noTracking
  ? undefined
  : await Keeper.start().catch((error: unknown) => {
      noTracking = `needs connection tracking: ${refusal(error)}`;
      return undefined;
    });
let noNamespace: string | false = false;
try {
  enterNewNamespace();
} catch (error) {
  noNamespace = `needs a network namespace of its own: ${refusal(error)}`;
}
const noUser = needsRoot("to run as another user");

async function doctor(environment: RunEnvironment, ...args: string[]): Promise<(limit: Row["limit"]) => Row> {
  const { stdout, stderr } = await cli(["doctor", "--json", ...args], {}, environment).ended;
  assert.notEqual(stdout, "", stderr);
  const { ceilings } = JSON.parse(stdout) as ReturnType<typeof doctorJson>;
  return (limit) => {
    const row = ceilings.find((one) => one.limit === limit);
    assert.ok(row, `${limit} is not in the report`);
    return row;
  };
}

/** Makes connection tracking live in this namespace, with a table of this size. Throws where the kernel refuses. */
async function track(maximum: number): Promise<undefined> {
  trackConnections();
  await keeper!.set(maximum);
}

/** Asserts that the run stopped at the predicted count, and named the cause. */
function assertStopped(evidence: Evidence, predicted: number | null, cause: string): void {
  const { open, plateau, verdict, reasons } = evidence;
  assert.ok(predicted !== null);
  const seen = `${open} open, ${predicted} predicted; ${reasons.join("; ")}`;
  console.log(`${cause}: ${open} open, ${predicted} predicted (${((open / predicted - 1) * 100).toFixed(2)} %)`);
  assert.ok(Math.abs(open / predicted - 1) <= 0.01, seen);
  assert.equal(verdict, "not held");
  assert.deepEqual([plateau?.causes[0]?.id, plateau?.causes[0]?.certainty], [cause, "proven"], JSON.stringify(plateau));
  assert.ok(plateau && plateau.connections >= open);
  assert.ok(
    reasons.some((reason) => reason.includes(`went flat at`) && reason.includes(`${cause}: `)),
    seen,
  );
}

async function openFilesTrial(fileMax: number): Promise<{ evidence: Evidence; predicted: number | null }> {
  await using lowered = Lowered.guard(FILE_MAX);
  await lowered.set(fileMax);
  await using gateway = await Gateway.startIn(NOBODY, "--workers", "2");
  const report = await doctor(NOBODY, "--side", "both", "--connections", "6000");
  const few = ["--generators", "1", "--in-flight", "16"];
  const { evidence } = await loadIn(NOBODY, gateway, "--connections", "6000", ...few, ...QUICK, ...BOUNDED);
  return { evidence, predicted: report("file-max").connections };
}

describe("predicted and real ceilings", { concurrency: 1 }, () => {
  after(() => keeper?.end());

  it("descriptors of the gateway's workers", { skip: noUser }, async () => {
    const workers = availableParallelism();
    const nofile = Math.max(300, 100 + Math.floor(3000 / workers));
    const poor = { ...NOBODY, nofile };
    const report = await doctor(poor, "--connections", "2000");
    const predicted = /would hold ([\d,]+) together/.exec(report("descriptors").explanation)?.[1]?.replaceAll(",", "");
    await using gateway = await Gateway.startIn(poor, "--workers", String(workers), "--connections", "1000");
    const target = String(Math.ceil(Number(predicted) * 1.05));
    const { evidence } = await loadIn({}, gateway, "--connections", target, ...QUICK, ...BOUNDED);
    assertStopped(evidence, Number(predicted), "descriptors");
    await gateway.shows('megagate_connections_cap{limit="descriptors"}', Number(predicted));
  });

  it("ports of the client ends", { skip: noNamespace }, async (t) => {
    const before = readFileSync(PORT_RANGE, "utf8");
    t.after(() => writeFileSync(PORT_RANGE, before));
    writeFileSync(PORT_RANGE, "20000 23999");
    await using gateway = await Gateway.start("--port", "8080", "--admin-port", "8081", "--workers", "2");
    const report = await doctor({}, "--side", "both", "--sources", "1", "--connections", "4200");
    const from = ["--source-addresses", "127.0.0.1"];
    const { evidence } = await loadIn({}, gateway, "--connections", "4200", ...from, ...QUICK, ...BOUNDED);
    assertStopped(evidence, report("ports").connections, "ports");
  });

  it("open files of the system, for all but root", { skip: noUser || Lowered.whyNot(FILE_MAX) }, async (t) => {
    // Other programs open and close files meanwhile, which moves the ceiling: then the trial is repeated.
    for (let trial = 1; trial <= 3; trial++) {
      const before = new MachineReader().limits().filesOpen;
      const { evidence, predicted } = await openFilesTrial(before + 10_000);
      const moved = Math.abs(new MachineReader().limits().filesOpen - before);
      if (moved <= 20) {
        assertStopped(evidence, predicted, "file-max");
        return;
      }
      t.diagnostic(`trial ${trial}: other programs opened or closed ${moved} files meanwhile`);
    }
    t.skip("this machine is not quiet enough: other programs open and close files");
  });

  it("epoll watches of the gateway's user", { skip: noUser || Lowered.whyNot(EPOLL_WATCHES) }, async () => {
    await using lowered = Lowered.guard(EPOLL_WATCHES);
    await lowered.set(30_000);
    await using gateway = await Gateway.startIn(NOBODY, "--workers", "2");
    const report = await doctor(NOBODY, "--connections", "30400");
    // The client ends run as another user with watches of their own, and with few connects in flight, so that theirs last longer.
    const { evidence } = await loadIn(
      SOMEBODY,
      gateway,
      "--connections",
      "30400",
      "--in-flight",
      "40",
      ...QUICK,
      ...BOUNDED,
    );
    assertStopped(evidence, report("epoll-watches").connections, "epoll-watches");
    await gateway.shows("megagate_worker_restarts_total", 0);
  });

  it("descriptors of a generator", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const poor = { nofile: 2000 };
    const { evidence } = await loadIn(
      poor,
      gateway,
      "--connections",
      "2100",
      "--generators",
      "1",
      ...QUICK,
      ...BOUNDED,
    );
    assertStopped(evidence, poor.nofile - 25, "client-descriptors");
  });

  // With so little memory, the kernel's caches and the start of the processes take the larger part: the test searches for the
  // headroom, and the count is not predicted.
  it("the memory floor is named", async (t) => {
    await using gateway = await Gateway.start("--workers", "2");
    let headroom = 150e6;
    for (let trial = 1; trial <= 4; trial++) {
      const floor = ["--memory-floor", String(new MachineReader().memory().freeBytes - headroom)];
      const { evidence } = await loadIn({}, gateway, "--connections", "39000", ...floor, ...QUICK, ...BOUNDED);
      const { open, plateau, verdict, reasons } = evidence;
      if (open > 0 && open < 39_000) {
        assert.equal(verdict, "not held");
        assert.equal(plateau?.causes[0]?.id, "memory", reasons.join("; "));
        return;
      }
      headroom = Math.round(headroom * (open === 0 ? 1.4 : 0.8));
    }
    t.skip("this machine's free memory moves too much");
  });

  // Must be the last test: from here on every connection of this namespace is tracked.
  it("connection tracking", { skip: noNamespace || noTracking }, async (t) => {
    // Large enough that the 64 entries each of doctor's and load's probes, which may or may not have expired, are less than
    // one per cent.
    const denied = await track(18_000).catch(refusal);
    if (denied !== undefined) {
      t.skip(`needs connection tracking: ${denied}`);
      return;
    }
    await using gateway = await Gateway.start("--port", "8080", "--admin-port", "8081", "--workers", "2");
    const report = await doctor({}, "--side", "both", "--connections", "18600");
    const { evidence } = await loadIn({}, gateway, "--connections", "18600", ...QUICK, ...BOUNDED);
    assertStopped(evidence, report("conntrack").connections, "conntrack");
    assert.match(
      gateway.run.stderr,
      /the connection-tracking table is full.*remedy: raise net\.netfilter\.nf_conntrack_max/,
    );
    assert.ok((await gateway.metric('megagate_limit_events_total{limit="conntrack"}')) > 0, "the gateway names it too");
  });
});
