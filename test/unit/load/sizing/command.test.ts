/** `megagate plan` as a person runs it: what it prints, its JSON, and its exit status. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { planFor } from "../../../../load/sizing/command.js";
import { ENVELOPE_BYTES } from "../../../../load/sizing/frames.js";
import { lasting, number } from "../../../../load/sizing/lines.js";
import { PLAN_OPTIONS } from "../../../../load/sizing/options.js";
import type { SizingPlan } from "../../../../load/sizing/plan.js";
import { shortageOf } from "../../../../load/sizing/report.js";
import { resolve } from "../../../../src/config/resolve.js";
import { encodeNew } from "../../../../src/hub/wire.js";
import { MachineReader } from "../../../../sysctl/kernel/machine.js";
import { cli } from "../../../support/gateway.js";
import { onHost } from "../../sysctl/doctor/variants.js";

const MILLION = "load/results/2026-11-23-million-with-history.json";
const MACHINE = ["--cores", "8", "--memory-bytes", "32GB", "--nofile", "1048576"];

describe("megagate plan", () => {
  it("prints the question, every sum, the first bound, and the origin of each constant", async () => {
    const { code, stdout, stderr } = await cli(["plan", ...MACHINE, "--evidence", MILLION, "--explain"]).ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Plan: 1,000,000 connections, 1 topic, 1 each, 100 bytes 1 time a minute to each$/m);
    for (const title of ["Processes and descriptors", "Memory", "CPU, in the steady state", "Network", "Times"]) {
      assert.match(stdout, new RegExp(`^${title}$`, "m"));
    }
    assert.match(stdout, /^ {2}kernel +4\.93 GB += connections × kernelPerServerEnd$/m);
    assert.match(stdout, /^What bounds a server, first things first\n {2}memory, beyond [\d,]+ connections/m);
    assert.match(stdout, /^Constants: from load\/results\/2026-11-23-million-with-history\.json/m);
    assert.match(stdout, /^ {2}userPerConnection +773 bytes +evidence: .* a run of 1,000,000 connections$/m);
    assert.match(stdout, /^ {2}tlsPerConnection +3,400 bytes +shipped: /m);
  });

  it("prints the same as JSON", async () => {
    const { code, stdout } = await cli(["plan", ...MACHINE, "--example", "100m", "--per-minute", "2", "--json"]).ended;
    assert.equal(code, 0);
    const plan = JSON.parse(stdout) as SizingPlan;
    assert.equal(plan.schema, "megagate.plan.v1");
    assert.equal(plan.demand.connections, 100_000_000);
    // A given option overrides the example.
    assert.equal(plan.demand.perMinute, 2);
    assert.equal(plan.machine.memoryBytes, 32e9);
    assert.ok(plan.fits && plan.servers !== null && plan.servers > 50 && plan.fleet);
  });

  it("prints a plan that does not fit, and ends with status 3 and the remedies", async () => {
    const { code, stdout, stderr } = await cli(["plan", ...MACHINE, "--connections", "10000000"]).ended;
    assert.equal(code, 3);
    assert.match(stdout, /DOES NOT FIT: memory, beyond/);
    assert.match(stderr, /memory: .* needed, 28\.8 GB may be used: take more memory/);
  });

  it("respects the control groups of this machine, and of no other", () =>
    onHost("pod-with-cpu-quota", (root) => {
      const of = (flags: Record<string, unknown>): SizingPlan =>
        planFor(
          resolve(PLAN_OPTIONS, { flags: { evidence: "shipped", ...flags }, env: {} }),
          new MachineReader(`${root}/`),
        );
      const here = of({ connections: "900000" });
      assert.deepEqual([here.machine.cores, here.machine.memoryBytes, here.machine.tasks], [2, 4_294_967_296, 1001]);
      assert.ok(here.bounds.some(({ resource, fits }) => resource === "memory" && !fits));
      assert.equal(here.perServer.processes.workers, 2);
      const tight = of({ connections: "900000", nofile: "8000" });
      assert.ok(tight.bounds.some(({ resource, fits }) => resource === "tasks" && !fits));
      assert.match(
        shortageOf(tight) ?? "",
        /processes and threads of the control group: .* raise the control group's pids\.max/,
      );
      const other = of({ cores: "8", memoryBytes: "32GB" });
      assert.deepEqual([other.machine.cores, other.machine.tasks], [8, undefined]);
    }));

  it("names a fault of an option, of the evidence or of their combination, with status 2", async () => {
    const runs = [
      ["--connections", "none"],
      ["--evidence", "/nowhere.json"],
      ["--topics", "2", "--subscriptions", "3"],
    ];
    for (const args of runs) {
      const { code, stdout, stderr } = await cli(["plan", ...args]).ended;
      assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
      assert.ok(stderr.includes(args.at(-2)!), stderr);
    }
  });
});

describe("what the plan assumes of a push", () => {
  it("is what the hub encodes around the data, for a name of 16 characters", () => {
    const data = JSON.stringify("x".repeat(98));
    assert.equal(
      encodeNew({ topic: "a".repeat(16), offset: 12_345_678, data }).push.length,
      data.length + ENVELOPE_BYTES,
    );
  });
});

describe("figures for people", () => {
  it("are rounded up, never down", () => {
    assert.deepEqual([0, 0.001, 0.101, 8.71, 10.01, 99.91, 1234.5].map(number), [
      "0",
      "0.01",
      "0.11",
      "8.71",
      "10.1",
      "100",
      "1,235",
    ]);
    assert.deepEqual([0.02, 45.01, 121, 7201].map(lasting), ["0.02 s", "45.1 s", "3 min", "2.01 h"]);
  });
});
