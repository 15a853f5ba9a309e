/** What a starting gateway says of this very machine: sysctl/doctor/machine-ceiling.ts. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { machineCeiling } from "../../../../sysctl/doctor/machine-ceiling.js";

it("a starting gateway knows its first ceiling, and whether that is below what it was asked to provide for", () => {
  const small = machineCeiling(100, [8080, 8081]);
  assert.ok(small && small.connections > 100, JSON.stringify(small));
  assert.equal(small.verdict, "ok");
  assert.equal(machineCeiling(100_000_000, [8080, 8081])?.verdict, "low");
});
