/** Deliveries, duplicates and gaps are counted for each socket by offset. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broadcasts } from "../../../../load/generator/broadcasts.js";
import type { Push } from "../../../../load/generator/protocol.js";

const push = (offset: number, n: number, changes: Partial<Push> = {}): Push => ({
  type: "push",
  topic: "load",
  offset,
  previous: offset - 1,
  run: "mine",
  n,
  publishedAtMs: 0,
  ...changes,
});

describe("broadcasts", () => {
  it("counts each socket once", () => {
    const broadcasts = new Broadcasts(10, "mine");
    for (const fd of [4, 5]) broadcasts.subscribed(fd, 57);
    broadcasts.received(4, push(58, 1));
    assert.equal(broadcasts.complete(2), false);
    broadcasts.received(5, push(58, 1));
    assert.equal(broadcasts.complete(2), true);
    assert.deepEqual([broadcasts.tally(1).delivered, broadcasts.delivered, broadcasts.gaps], [2, 2, 0]);
    assert.notDeepEqual(broadcasts.encoded(1), []);
  });

  it("counts a push that came twice as a duplicate", () => {
    const broadcasts = new Broadcasts(10, "mine");
    broadcasts.subscribed(4, 57);
    for (let i = 0; i < 3; i++) broadcasts.received(4, push(58, 1));
    const { delivered, duplicates } = broadcasts.tally(1);
    assert.deepEqual([delivered, duplicates, broadcasts.duplicates], [1, 2, 2]);
  });

  it("counts a gap, but not where `prev` says that nothing lies between", () => {
    const broadcasts = new Broadcasts(10, "mine");
    broadcasts.subscribed(4, 57);
    broadcasts.received(4, push(60, 1, { previous: 57 }));
    assert.equal(broadcasts.gaps, 0);
    broadcasts.received(4, push(62, 2));
    assert.equal(broadcasts.gaps, 1);
  });

  it("does not count another run's publication as delivered", () => {
    const broadcasts = new Broadcasts(10, "mine");
    broadcasts.subscribed(4, 0);
    broadcasts.received(4, push(1, 1, { run: "other" }));
    assert.deepEqual([broadcasts.delivered, broadcasts.gaps], [0, 0]);
    broadcasts.received(4, push(2, 1));
    assert.deepEqual([broadcasts.delivered, broadcasts.gaps], [1, 0]);
  });

  it("is patient only while a broadcast is under way", () => {
    const broadcasts = new Broadcasts(10, "mine");
    broadcasts.subscribed(4, 0);
    assert.equal(broadcasts.patienceMs(), 0);
    broadcasts.received(4, push(1, 1, { publishedAtMs: 1 }));
    assert.equal(broadcasts.patienceMs(), 10, "a hundredth of its age, ten milliseconds at most");
    assert.equal(broadcasts.patienceMs(), 0, "no push has come since");
  });
});
