/** Positions over several reconnects of one connection: pushes that are lost, received twice, announced as dropped, or promised. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GatewayEvent, Push, Subscribed } from "../../../../load/generator/protocol.js";
import { Positions } from "../../../../load/reconnects/positions.js";

const push = (offset: number, previous = offset - 1): Push => ({
  ...{ type: "push", topic: "t", offset, previous, run: "", n: 0, publishedAtMs: 0 },
});
const answer = (offset: number, recovered = false, epoch = "e"): Subscribed => ({
  ...{ type: "subscribed", topic: "t", code: 0, epoch, offset, recovered },
});
const event = (name: string, fields: Partial<GatewayEvent>): GatewayEvent => ({
  ...{ type: "event", name, topic: "t", epoch: "e", offset: Number.NaN, from: Number.NaN, to: Number.NaN },
  ...{ afterMs: undefined, ...fields },
});

function joined(offset: number): Positions {
  const positions = new Positions(1);
  positions.joined(0, answer(offset));
  return positions;
}

describe("positions", () => {
  it("counts pushes that are received, received twice, and missing without an announcement", () => {
    const positions = joined(10);
    for (const offset of [11, 12, 12, 15]) positions.onPush(0, push(offset));
    const { delivered, duplicates, gaps, lost } = positions;
    assert.deepEqual([delivered, duplicates, gaps, lost], [3, 1, 1, 2]);
    assert.deepEqual(positions.at(0), { epoch: "e", offset: 15 });
  });

  it("a push that names its predecessor counts the pushes that it replaced", () => {
    const positions = joined(10);
    positions.onPush(0, push(15, 10));
    assert.deepEqual([positions.gaps, positions.replaced], [0, 4]);
  });

  it("after a reconnect it waits for the pushes that the answer promised, until the last of them", () => {
    const positions = joined(10);
    positions.left(0);
    assert.equal(positions.rejoined(0, answer(13, true)), false);
    assert.equal(positions.owing, 1);
    assert.deepEqual(
      [11, 12, 13].map((offset) => positions.onPush(0, push(offset))),
      [false, false, true],
    );
    assert.deepEqual([positions.owing, positions.gaps, positions.lost], [0, 0, 0]);
  });

  it("nothing was missed: caught up at once", () => {
    assert.equal(joined(10).rejoined(0, answer(10, true)), true);
  });

  it("it ends again before it has all: it waits no longer, and asks again from its position", () => {
    const positions = joined(10);
    positions.rejoined(0, answer(13, true));
    positions.onPush(0, push(11));
    positions.left(0);
    assert.deepEqual([positions.owing, positions.at(0).offset], [0, 11]);
  });

  it("an answer with recovered:false voids the missed pushes", () => {
    const positions = joined(10);
    assert.equal(positions.rejoined(0, answer(50)), true);
    assert.deepEqual([positions.voided, positions.lost, positions.at(0).offset], [40, 0, 50]);
    positions.rejoined(0, answer(3, true, "other"));
    assert.deepEqual([positions.voided, positions.at(0)], [41, { epoch: "other", offset: 3 }]);
  });

  it("dropped and reset are announced; pushes before a dropped range are lost", () => {
    const positions = joined(10);
    positions.onEvent(0, event("dropped", { from: 11, to: 20 }));
    assert.deepEqual([positions.dropped, positions.lost], [10, 0]);
    positions.onEvent(0, event("dropped", { from: 23, to: 25 }));
    assert.deepEqual([positions.dropped, positions.lost, positions.gaps], [13, 2, 1]);
    positions.onEvent(0, event("reset", { offset: 40 }));
    assert.deepEqual([positions.resets, positions.voided, positions.at(0).offset], [1, 15, 40]);
  });

  it("counts the pushes that it lacks up to the newest", () => {
    const positions = joined(10);
    const behind = (epoch: string, offset: number): number =>
      positions.behind(() => ({ epoch, offset })).behindMessages;
    assert.deepEqual([behind("e", 10), behind("e", 13), behind("new", 4)], [0, 3, 4]);
    assert.equal(positions.behind(() => null).behind, 0, "nothing was published, or it is not open");
  });
});
