/**
 * Raw fuzzing of a live gateway on both ports, bounded by FUZZ_SECONDS (10; `make fuzz` takes 60) and repeated by FUZZ_SEED:
 * no process dies, no memory or descriptor is lost, and well-behaved clients are served all the time. What it finds becomes a row of cases.ts.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Gateway, type ProcessRow } from "../support/gateway.js";
import type { Target } from "./attack.js";
import { COLLECTING, campaign, SECONDS, SEED } from "./campaign.js";

/** Short runs have few samples of each: they find faults, and only clear delays. */
const LONG = SECONDS >= 60;
/** Of memory; 5 % where the run is long enough to tell. */
const MAX_GROWTH = LONG ? 1.05 : 1.25;
/** Of the usual delay; on a machine whose two cores also run the attackers, short runs may be hit by anything. */
const MAX_DELAY = LONG ? 1.1 : 3;
/** Below this a difference is the scheduler's, milliseconds. */
const RESOLUTION_MS = LONG ? 0.1 : 5;

describe(`fuzzing with FUZZ_SEED=${SEED} for FUZZ_SECONDS=${SECONDS}`, () => {
  let gateway: Gateway;
  let processes: ProcessRow[];
  before(async () => {
    gateway = await Gateway.startIn({ env: COLLECTING }, "--workers", "2", "--topic-linger-seconds", "1");
    processes = await gateway.processes();
  });
  after(() => gateway[Symbol.asyncDispose]());

  for (const [target, seconds] of [
    ["public", SECONDS],
    ["admin", SECONDS / 2],
  ] as const satisfies [Target, number][]) {
    it(`the ${target} port`, async (t) => {
      const verdict = await campaign(gateway, target, seconds);
      t.diagnostic(JSON.stringify(verdict));
      assert.equal(await gateway.metric("megagate_worker_restarts_total"), 0);
      const pids = (rows: ProcessRow[]): number[] => rows.map(({ pid }) => pid);
      assert.deepEqual(pids(await gateway.processes()), pids(processes), "the same processes as before");
      assert.doesNotMatch(gateway.run.stderr, /upgrade failed|uncaught|unhandled/i);
      assert.equal(await gateway.metric("megagate_unknown_frames_total"), 0);
      const [memoryBefore, memoryAfter] = verdict.memory;
      assert.ok(memoryAfter <= memoryBefore * MAX_GROWTH, `memory ${memoryBefore} → ${memoryAfter}`);
      const [heldBefore, heldAfter] = verdict.descriptors;
      assert.ok(heldAfter <= heldBefore + 10, `descriptors ${heldBefore} → ${heldAfter}`);
      for (const name of ["heartbeatP50", "pushP50"] as const) {
        const [usual, attacked] = verdict.delays[name];
        assert.ok(attacked <= usual * MAX_DELAY + RESOLUTION_MS, `${name}: ${usual} → ${attacked} ms`);
      }
    });
  }
});
