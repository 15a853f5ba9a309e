import assert from "node:assert/strict";
import { it } from "node:test";
import { WorkerExits } from "../../../src/hub/worker-exits.js";

function makeExits(): { exits: WorkerExits; linked: Set<number>; gone: number[] } {
  const linked = new Set([11, 12]);
  const gone: number[] = [];
  const fleet = { gone: (_worker: number, pid: number) => void gone.push(pid) };
  return { exits: new WorkerExits((pid) => linked.has(pid), fleet, 0), linked, gone };
}

it("a worker leaves the fleet when its process has ended and its link has closed, in either order", () => {
  const { exits, linked, gone } = makeExits();
  exits.processEnded(0, 11, 1);
  assert.deepEqual([gone, exits.counted], [[], 0], "its last counters may still come");
  linked.delete(11);
  exits.linkClosed(11);
  assert.deepEqual([gone, exits.counted], [[11], 1]);
  linked.delete(12);
  exits.linkClosed(12);
  assert.deepEqual(gone, [11], "a broken link alone is no exit");
  exits.processEnded(1, 12, 2);
  assert.deepEqual([gone, exits.counted], [[11, 12], 2]);
});
