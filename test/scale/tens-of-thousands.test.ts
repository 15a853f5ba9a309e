/**
 * What holds for three clients must hold for tens of thousands: one run of 20,000 sockets with memory bounded, and one
 * that crosses the descriptor limit of a process with several workers and generators. The million is `make million`.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Evidence } from "../../load/evidence/evidence.js";
import { load } from "../support/evidence.js";
import { Gateway } from "../support/gateway.js";
import { hardNofile, needsDescriptors, needsMemory } from "../support/needs.js";

const skip = needsDescriptors(16_000) || needsMemory(1.5);

function assertHeld(evidence: Evidence, connections: number): void {
  assert.deepEqual(evidence.reasons, []);
  assert.equal(evidence.open, connections);
  assert.equal(evidence.heartbeats.answered, connections);
  for (const broadcast of evidence.broadcasts)
    assert.deepEqual([broadcast.delivered, broadcast.duplicates], [connections, 0]);
}

it("20,000 sockets: all open, answered and pushed to; memory of a connection stays within bounds", {
  skip,
}, async () => {
  await using gateway = await Gateway.start("--connections", "20000");
  const { exit, evidence } = await load(gateway, "--connections", "20000", "--hold-seconds", "5", "--broadcasts", "3");
  assert.equal(exit.code, 0, exit.stdout + exit.stderr);
  assertHeld(evidence, 20_000);
  // The bar of 1,200 is for a million (make million); at 20,000 V8's own growth is spread over few connections.
  assert.ok(
    (evidence.memory.userBytesPerConnection ?? 0) <= 2500,
    `${evidence.memory.userBytesPerConnection ?? 0} bytes`,
  );
});

it("more sockets than one process may have descriptors, over several workers and generators", { skip }, async () => {
  const connections = Math.min(30_000, Math.floor(hardNofile() * 1.25));
  await using gateway = await Gateway.start("--connections", String(connections), "--workers", "3");
  const wanted = [
    "--connections",
    String(connections),
    "--generators",
    "3",
    "--hold-seconds",
    "3",
    "--broadcasts",
    "2",
  ];
  const { exit, evidence } = await load(gateway, ...wanted);
  assert.equal(exit.code, 0, exit.stdout + exit.stderr);
  assertHeld(evidence, connections);
  assert.deepEqual([evidence.plan.workers, evidence.plan.generators], [3, 3]);
  const rows = (await gateway.processes()).filter((row) => row.role === "worker");
  assert.equal(rows.length, 3);
});
