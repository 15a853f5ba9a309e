/** Merged percentiles are those of all values together, at most 0.8 % too high. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Histogram } from "../../../../load/generator/histogram.js";

const values = fc.array(fc.double({ min: 0, max: 4e6, noNaN: true }), { minLength: 1, maxLength: 200 });

function recorded(all: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const ms of all) histogram.recordMs(ms);
  return histogram;
}

describe("histogram", () => {
  it("gives the exact percentile within its step", () => {
    fc.assert(
      fc.property(values, fc.constantFrom(1, 50, 90, 99, 100), (all, percent) => {
        const sorted = [...all].sort((a, b) => a - b);
        const exactMs = sorted[Math.ceil((percent / 100) * sorted.length) - 1]!;
        const foundMs = recorded(all).percentileMs(percent)!;
        assert(foundMs >= exactMs - 0.0005 - 1e-9, `${foundMs} below ${exactMs}`);
        assert(foundMs <= exactMs * (1 + 1 / 128) + 0.001, `${foundMs} above ${exactMs}`);
      }),
    );
  });

  it("merges encoded parts into what one histogram would have recorded", () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const merged = new Histogram();
        for (const part of [a, b]) merged.merge(JSON.parse(JSON.stringify(recorded(part).encode())) as number[]);
        const whole = recorded([...a, ...b]);
        assert.equal(merged.count, whole.count);
        assert.deepEqual(merged.encode(), whole.encode());
      }),
    );
  });

  it("has no percentile when nothing was recorded, also after a reset", () => {
    const histogram = recorded([1, 2]);
    histogram.reset();
    assert.deepEqual([histogram.percentileMs(50), histogram.count, histogram.encode()], [null, 0, []]);
  });

  it("clamps times that are too long or negative", () => {
    assert.equal(recorded([-3]).percentileMs(50), 0);
    assert.equal(recorded([1e12]).percentileMs(50), (2 ** 32 - 1) / 1000);
  });
});
