/** The measured rate of handshakes, and what follows from it. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import {
  Budget,
  isNews,
  maxWaiting,
  priorRate,
  retryAfterSeconds,
  returnRate,
  returnWindowMs,
} from "../../../src/admission/budget.js";

/** A gateway of `workers` that can do `capacity` a second, under a storm, as its counters show it. */
function afterStorm(budget: Budget, workers: number, capacity: number, seconds: number, busy = 1): number {
  for (let second = 0; second <= seconds; second++) {
    const handshakes = second * capacity * busy;
    budget.measure({ handshakes, busySeconds: second * workers * busy, waiting: capacity }, 1);
  }
  return budget.rate;
}

it("converges to the rate of the workers while handshakes wait, from above and from below", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 500, max: 200_000 }),
      fc.double({ min: 0.55, max: 1, noNaN: true }),
      (workers, capacity, busy) => {
        const rate = afterStorm(new Budget(workers, 20_000), workers, capacity, 40, busy);
        assert.ok(Math.abs(rate / capacity - 1) < 0.02, `${rate} of ${capacity}`);
      },
    ),
  );
});

it("four seconds of storm move it most of the way", () => {
  const rate = afterStorm(new Budget(2, 20_000), 2, 10_000, 4);
  assert.ok(rate < 12_500 && rate > 10_000, String(rate));
});

it("does not change where the clients were the bottleneck, or the workers did something else", () => {
  const quiet = new Budget(2, 20_000);
  quiet.measure({ handshakes: 0, busySeconds: 0, waiting: 0 }, 1);
  quiet.measure({ handshakes: 100, busySeconds: 0.1, waiting: 0 }, 1);
  quiet.measure({ handshakes: 5000, busySeconds: 2.1, waiting: 0 }, 1);
  quiet.measure({ handshakes: 5000, busySeconds: 4.1, waiting: 50 }, 1);
  assert.equal(quiet.rate, 20_000);
});

it("does not fall because of refusals, which count as handshakes, and never below its minimum", () => {
  assert.ok(afterStorm(new Budget(1, 20_000), 1, 1, 100) >= 100);
  const calm = new Budget(1, 1000);
  calm.measure({ handshakes: 0, busySeconds: 0, waiting: 0 }, 1);
  calm.measure({ handshakes: 1e6, busySeconds: 1, waiting: 1e6 }, 1);
  assert.ok(calm.rate <= 1900, "a sample counts as at most four times the estimate");
});

it("does not change where the operator fixed it", () => {
  assert.equal(afterStorm(new Budget(2, 700, true), 2, 10_000, 10), 700);
});

it("the other numbers follow from the rate", () => {
  assert.equal(priorRate(2), 20_000);
  assert.equal(maxWaiting(20_000, 8), 160_000);
  assert.equal(maxWaiting(1, 1), 64, "a burst is no storm");
  assert.equal(returnWindowMs(1_000_000, 20_000), 100_000);
  assert.equal(returnWindowMs(1, 20_000), 1000);
  assert.equal(returnRate(20_000), 10_000);
  assert.ok(isNews(1000, 1200) && isNews(1000, 800) && !isNews(1000, 1050));
});

it("Retry-After is at least a second, at most a minute, and spreads the clients below the rate", () => {
  fc.assert(
    fc.property(
      fc.nat(5e6),
      fc.integer({ min: 1, max: 1e6 }),
      fc.double({ min: 0, max: 0.999999, noNaN: true }),
      (n, rate, r) => {
        const seconds = retryAfterSeconds(n, rate, r);
        assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 61);
      },
    ),
  );
  const turns = new Map<number, number>();
  for (let i = 0; i < 10_000; i++) {
    const seconds = retryAfterSeconds(10_000, 1000, i / 10_000);
    turns.set(seconds, (turns.get(seconds) ?? 0) + 1);
  }
  assert.equal(Math.max(...turns.values()), 500, "10,000 clients at 1,000 a second: half the rate, for 20 seconds");
});
