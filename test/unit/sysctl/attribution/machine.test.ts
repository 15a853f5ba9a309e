/** A running gateway asks this very machine at which counts its ceilings are. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { observeMachine, withTracking } from "../../../../sysctl/attribution/machine.js";
import { survey } from "../../../../sysctl/doctor/survey.js";
import { type AnyHost, onHost } from "../doctor/variants.js";

describe("a machine that a gateway runs on", () => {
  it("has known ceilings on the count, the first of which is the one named at start", () => {
    const machine = observeMachine(1000, [8080, 8081]);
    const ceilings = machine.ceilings(0);
    assert.ok(
      Object.values(ceilings).every((n) => Number.isInteger(n) && n > 0),
      JSON.stringify(ceilings),
    );
    const min = Math.min(...Object.values(ceilings));
    assert.ok(machine.first && Math.abs(machine.first.connections / min - 1) < 0.1, JSON.stringify(machine.first));
    for (const rateLimit of ["accept-queue", "orphans", "ports"]) assert.ok(!(rateLimit in ceilings), rateLimit);
  });

  it("has the processors and the memory that control groups leave it", () => {
    const { cpus, memoryBytes } = observeMachine(1000, []);
    assert.ok(cpus > 0 && cpus <= 4096 && memoryBytes > 1e8 && memoryBytes < 1e14);
    const bounds = (host: AnyHost) =>
      onHost(host, (root) => {
        const machine = observeMachine(1000, [], root);
        return [machine.cpus, machine.memoryBytes];
      });
    assert.deepEqual(bounds("pod-with-cpu-quota"), [2, 4_294_967_296]);
    assert.deepEqual(bounds("lxc-container"), [0.5, 2_147_483_648]);
    assert.deepEqual(bounds("debian-vm"), [2, 24_684_096 * 1024]);
  });

  it("does not count what our own connections use against them", () => {
    const { memory = 0 } = observeMachine(1000, []).ceilings(0);
    const { memory: withOurs = 0 } = observeMachine(1000, []).ceilings(100_000);
    assert.ok(withOurs > memory + 90_000, `${memory} with none open, ${withOurs} with 100,000`);
  });

  it("is surveyed in little time", () => {
    const machine = observeMachine(1000, []);
    machine.ceilings(0);
    const startedMs = performance.now();
    machine.ceilings(0);
    assert.ok(performance.now() - startedMs < 200);
  });

  it("knows whether connections are tracked by its own entries, where it has enough", () => {
    const facts = (entries: number) => ({ ...survey(), tracking: { entries, live: null } });
    const live = (entries: number, open: number) => withTracking(facts(entries), open).tracking?.live;
    assert.deepEqual([live(5000, 5000), live(0, 5000), live(40, 5000), live(900, 5)], [true, false, null, null]);
    assert.equal(withTracking({ ...survey(), tracking: null }, 5000).tracking, null);
  });
});
