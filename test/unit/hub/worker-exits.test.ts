import assert from "node:assert/strict";
import { it } from "node:test";
import { WorkerExits } from "../../../src/hub/worker-exits.js";

function departures(): { of: WorkerExits; linked: Set<number>; gone: number[] } {
  const linked = new Set([11, 12]);
  const gone: number[] = [];
  const fleet = { gone: (_worker: number, pid: number) => void gone.push(pid) };
  return { of: new WorkerExits((pid) => linked.has(pid), fleet, 0), linked, gone };
}

it("a worker is struck off when its process has ended and its link has closed, in either order", () => {
  const { of, linked, gone } = departures();
  of.processEnded(0, 11, 1);
  assert.deepEqual([gone, of.counted], [[], 0], "its last counters may still come");
  linked.delete(11);
  of.linkClosed(11);
  assert.deepEqual([gone, of.counted], [[11], 1]);
  linked.delete(12);
  of.linkClosed(12);
  assert.deepEqual(gone, [11], "a broken link alone is no end");
  of.processEnded(1, 12, 2);
  assert.deepEqual([gone, of.counted], [[11, 12], 2]);
});
