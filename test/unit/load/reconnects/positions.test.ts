/** The account by offset over several lives of one connection: lost, twice, told, owed. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Push, Subscribed, Told } from "../../../../load/generator/protocol.js";
import { Positions } from "../../../../load/reconnects/positions.js";

const push = (offset: number, previous = offset - 1): Push => ({
  ...{ kind: "push", topic: "t", offset, previous, run: "", n: 0, publishedAtMs: 0 },
});
const answer = (offset: number, recovered = false, epoch = "e"): Subscribed => ({
  ...{ kind: "subscribed", topic: "t", code: 0, epoch, offset, recovered },
});
const told = (name: string, fields: Partial<Told>): Told => ({
  ...{ kind: "event", name, topic: "t", epoch: "e", offset: Number.NaN, from: Number.NaN, to: Number.NaN },
  ...{ afterMs: undefined, ...fields },
});

function joined(offset: number): Positions {
  const positions = new Positions(1);
  positions.joined(0, answer(offset));
  return positions;
}

describe("positions", () => {
  it("counts what is received, what comes twice, and what is missing without a word", () => {
    const positions = joined(10);
    for (const offset of [11, 12, 12, 15]) positions.pushed(0, push(offset));
    const { delivered, duplicates, gaps, lost } = positions;
    assert.deepEqual([delivered, duplicates, gaps, lost], [3, 1, 1, 2]);
    assert.deepEqual(positions.at(0), { epoch: "e", offset: 15 });
  });

  it("a push that names its predecessor tells what was replaced", () => {
    const positions = joined(10);
    positions.pushed(0, push(15, 10));
    assert.deepEqual([positions.gaps, positions.replaced], [0, 4]);
  });

  it("after coming back it is owed what the answer promised, and has it with the last of them", () => {
    const positions = joined(10);
    positions.left(0);
    assert.equal(positions.rejoined(0, answer(13, true)), false);
    assert.equal(positions.owing, 1);
    assert.deepEqual(
      [11, 12, 13].map((offset) => positions.pushed(0, push(offset))),
      [false, false, true],
    );
    assert.deepEqual([positions.owing, positions.gaps, positions.lost], [0, 0, 0]);
  });

  it("nothing was missed: caught up at once", () => {
    assert.equal(joined(10).rejoined(0, answer(10, true)), true);
  });

  it("it leaves again before it has all: owed no more, and asks from where it is", () => {
    const positions = joined(10);
    positions.rejoined(0, answer(13, true));
    positions.pushed(0, push(11));
    positions.left(0);
    assert.deepEqual([positions.owing, positions.at(0).offset], [0, 11]);
  });

  it("an answer that was not recovered voids what was missed", () => {
    const positions = joined(10);
    assert.equal(positions.rejoined(0, answer(50)), true);
    assert.deepEqual([positions.voided, positions.lost, positions.at(0).offset], [40, 0, 50]);
    positions.rejoined(0, answer(3, true, "other"));
    assert.deepEqual([positions.voided, positions.at(0)], [41, { epoch: "other", offset: 3 }]);
  });

  it("dropped and reset are told; what lies before a dropped range is lost", () => {
    const positions = joined(10);
    positions.told(0, told("dropped", { from: 11, to: 20 }));
    assert.deepEqual([positions.dropped, positions.lost], [10, 0]);
    positions.told(0, told("dropped", { from: 23, to: 25 }));
    assert.deepEqual([positions.dropped, positions.lost, positions.gaps], [13, 2, 1]);
    positions.told(0, told("reset", { offset: 40 }));
    assert.deepEqual([positions.resets, positions.voided, positions.at(0).offset], [1, 15, 40]);
  });

  it("knows what it lacks of the newest", () => {
    const positions = joined(10);
    const behind = (epoch: string, offset: number): number =>
      positions.behind(() => ({ epoch, offset })).behindMessages;
    assert.deepEqual([behind("e", 10), behind("e", 13), behind("new", 4)], [0, 3, 4]);
    assert.equal(positions.behind(() => null).behind, 0, "nothing was published, or it is not open");
  });
});
