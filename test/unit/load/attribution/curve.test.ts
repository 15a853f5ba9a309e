/** Where a ramp goes flat, in invented curves. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { findFlat, type Point, ratesAround, Series } from "../../../../load/attribution/curve.js";

/** Points four times a second: `open` as a function of seconds. */
function curve(seconds: number, open: (at: number) => number): Point[] {
  return Array.from({ length: seconds * 4 + 1 }, (_, i) => [i / 4, Math.round(open(i / 4))] as const);
}

describe("curve", () => {
  it("of a ramp that fell short, is flat where it reached its top, however slowly the last ones came", () => {
    const stopped = curve(20, (at) => Math.min(5000, at * 1000));
    assert.deepEqual(findFlat(stopped, 6000), { connections: 5000, atSeconds: 5 });
    const trickling = curve(20, (at) => (at < 5 ? at * 1000 : 5000 + Math.min(4, at - 5)));
    assert.deepEqual(findFlat(trickling, 6000), { connections: 5004, atSeconds: 5 });
    assert.deepEqual(findFlat([[0, 0]], 10), { connections: 0, atSeconds: 0 });
  });

  it("of a ramp that came to its target, is flat at its longest pause, or nowhere", () => {
    assert.equal(
      findFlat(
        curve(10, (at) => at * 1000),
        10_000,
      ),
      null,
    );
    const paused = curve(14, (at) => (at < 4 ? at * 1000 : Math.max(4000, (at - 4) * 1000)));
    const found = findFlat(paused, 10_000);
    assert.deepEqual(found, { connections: 4000, atSeconds: 4 });
  });

  it("is not flat where it is slow all the way, as with a low --rate", () => {
    assert.equal(
      findFlat(
        curve(100, (at) => at * 2),
        200,
      ),
      null,
    );
  });

  it("gives the rates before and after a count", () => {
    const bent = curve(30, (at) => (at < 10 ? at * 1000 : 10_000 + (at - 10) * 10));
    const { before, after } = ratesAround(bent, 10_000);
    assert.equal(before, 1000);
    assert.ok(after > 9 && after < 11, String(after));
    assert.ok(Number.isNaN(ratesAround(bent, 20_000).before));
  });

  it("keeps a series in order and short, with its first point", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 4, max: 200 }), (length, max) => {
        const series = new Series(max);
        for (let x = 0; x < length; x++) series.add(x, 2 * x);
        assert(series.points.length <= max);
        assert(length < max || series.points.length >= max / 2 - 1);
        assert.deepEqual(series.points[0], [0, 0]);
        for (let i = 1; i < series.points.length; i++) assert(series.points[i]![0] > series.points[i - 1]![0]);
      }),
    );
  });
});
