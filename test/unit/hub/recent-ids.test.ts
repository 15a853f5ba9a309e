import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { nameOf, RecentIds } from "../../../src/hub/recent-ids.js";

/** One entry of these one-character topics and short ids. */
const ENTRY_BYTES = 193;

describe("recent ids", () => {
  it("never hold more than their bytes, forget the oldest first, and each after its time", () => {
    const step = fc.record({ id: fc.nat(9), passMs: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 10 }), (steps, max) => {
        let nowMs = 0;
        const recent = new RecentIds({ bytes: max * ENTRY_BYTES, ageMs: 100 });
        /** The rule without optimisation: all ids, newest last. */
        let model: { id: string; at: number }[] = [];
        for (const { id: number, passMs } of steps) {
          nowMs += passMs;
          const id = String(number);
          model = model.filter(({ at }) => nowMs - at < 100);
          const known = model.find((entry) => entry.id === id);
          assert.equal(recent.find("t", id, nowMs)?.offset, known?.at);
          if (known === undefined) {
            recent.remember({ name: nameOf("t", id), epoch: "e", offset: nowMs, atMs: nowMs }, nowMs);
            model = [...model, { id, at: nowMs }].slice(-max);
          }
          assert.equal(recent.size, model.length);
          assert.equal(recent.bytes, model.length * ENTRY_BYTES);
        }
      }),
    );
  });

  it("take constant time, full or empty", () => {
    const recent = new RecentIds({ bytes: 20_000_000, ageMs: 600_000 });
    const remember = (from: number): number => {
      const startedMs = performance.now();
      for (let n = from; n < from + 100_000; n += 1) {
        recent.find("t", String(n), n);
        recent.remember({ name: nameOf("t", String(n)), epoch: "e", offset: n, atMs: n }, n);
      }
      return performance.now() - startedMs;
    };
    const empty = remember(0);
    const full = Math.min(remember(100_000), remember(200_000), remember(300_000));
    // It was 15 to 40 times as long while the oldest was searched at the front of a Map.
    assert.ok(full < 5 * empty + 100, `${empty.toFixed()} ms, then ${full.toFixed()} ms`);
  });
});
