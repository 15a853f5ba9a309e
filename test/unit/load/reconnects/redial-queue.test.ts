/** The redial queue: each connection is due once, none before its time, and no more at a time than asked for. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RedialQueue } from "../../../../load/reconnects/redial-queue.js";

function taken(due: RedialQueue, nowMs: number, max = 100): number[] {
  const numbers: number[] = [];
  due.take(nowMs, max, (number) => numbers.push(number));
  return numbers;
}

describe("redial queue", () => {
  it("gives each connection once, when its time has come", () => {
    const due = new RedialQueue(5);
    for (const [number, atMs] of [30, 10, 20].entries()) due.set(number, atMs);
    assert.equal(due.waiting, 3);
    assert.deepEqual(taken(due, 9), []);
    assert.deepEqual(taken(due, 20), [1, 2]);
    assert.deepEqual(taken(due, 29), []);
    assert.deepEqual([taken(due, 31), due.waiting], [[0], 0]);
  });

  it("keeps those that were too many for one turn", () => {
    const due = new RedialQueue(300);
    for (let number = 0; number < 300; number++) due.set(number, 1);
    assert.deepEqual([taken(due, 1, 128).length, taken(due, 1, 128).length, taken(due, 1, 128).length], [128, 128, 44]);
  });

  it("one that fails at once may be set again while others are taken", () => {
    const due = new RedialQueue(2);
    due.set(0, 1);
    due.take(1, 10, (number) => due.set(number, 5));
    assert.deepEqual([due.waiting, taken(due, 4), taken(due, 5)], [1, [], [0]]);
  });

  it("a new time replaces the old one, and clear forgets all", () => {
    const due = new RedialQueue(2);
    due.set(0, 1);
    due.set(0, 7);
    assert.deepEqual([due.waiting, taken(due, 6), taken(due, 7)], [1, [], [0]]);
    due.set(1, 1);
    due.clear();
    assert.deepEqual([due.waiting, taken(due, 100)], [0, []]);
  });
});
