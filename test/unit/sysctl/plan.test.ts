/** The sums behind the wanted kernel values: sysctl/plan.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  endsWithSlack,
  type KernelPlan,
  memoryNeededBytes,
  processNofile,
  serviceTasks,
  tcpQueuePages,
} from "../../../sysctl/plan.js";
import { MILLION } from "../../../sysctl/remedies/render.js";

describe("the plan's sums", () => {
  it("count both ends only where both are on this host", () => {
    assert.equal(endsWithSlack(MILLION), 2_200_000);
    assert.equal(endsWithSlack({ ...MILLION, coLocated: false }), 1_100_000);
  });

  it("need about ten gigabytes for a million connections with both ends", () => {
    const gigabytes = memoryNeededBytes(MILLION) / 1e9;
    assert.ok(gigabytes > 9 && gigabytes < 11, `${gigabytes} GB`);
  });

  it("never let TCP queue more than the memory that idle sockets leave over", () => {
    const plans: fc.Arbitrary<KernelPlan> = fc
      .record({
        connections: fc.integer({ min: 1, max: 5_000_000 }),
        memoryBytes: fc.integer({ min: 0, max: 64 * 2 ** 30 }),
        coLocated: fc.boolean(),
        kernel: fc.constantFrom("4.4.0", "4.18.0-553.el8", "5.14.0-427.el9.aarch64+64k", "6.1.0"),
        pageBytes: fc.constantFrom(4096, 65_536),
      })
      .map((some) => ({ ...MILLION, ...some }));
    fc.assert(
      fc.property(plans, (plan) => {
        const bytes = tcpQueuePages(plan) * plan.pageBytes;
        assert.ok(bytes >= 0 && bytes <= Math.max(0, plan.memoryBytes - memoryNeededBytes(plan)));
      }),
    );
  });

  it("count what each socket end kept before Linux 6.0: a quantum of 4 KiB, in pages; a whole page before 4.11", () => {
    const kept = (kernel: string, pageBytes: number): number =>
      tcpQueuePages({ ...MILLION, memoryBytes: 1e12, kernel, pageBytes }) -
      tcpQueuePages({ ...MILLION, memoryBytes: 1e12, pageBytes });
    assert.equal(kept("5.14.0-427.el9", 4096), 2_000_000);
    assert.equal(kept("5.14.0-427.el9.aarch64+64k", 65_536), 125_000);
    assert.equal(kept("4.11.0", 65_536), 125_000);
    assert.equal(kept("4.10.17", 65_536), 2_000_000);
    assert.equal(kept("3.10.0-1160.el7", 4096), 2_000_000);
    assert.equal(kept("6.0.1", 65_536), 0);
  });

  it("give one process what one worker a core needs, never less than it has, and the operator's word over both", () => {
    assert.equal(processNofile({ ...MILLION, cores: 1 }), 1_005_100);
    assert.equal(processNofile({ ...MILLION, connections: 1000 }), 524_288);
    assert.equal(processNofile({ ...MILLION, nofile: 2_000_000 }), 2_000_000);
    assert.equal(processNofile({ ...MILLION, connections: 9_000_000 }), 1_048_576);
    assert.equal(processNofile({ ...MILLION, nofileWanted: 30_000 }), 30_000);
  });

  it("allow a dozen tasks for each worker", () => {
    assert.equal(serviceTasks(MILLION), 4915);
    assert.equal(serviceTasks({ ...MILLION, cores: 1000 }), 12_024);
  });
});
