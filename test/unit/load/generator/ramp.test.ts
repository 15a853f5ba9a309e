/** The ramp: rate and attempts in flight stay within their limits, failed attempts are retried, none is forgotten. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ramp, worthRetrying } from "../../../../load/generator/ramp.js";

function started(connections: number): { ramp: Ramp; attempts: number[] } {
  const attempts: number[] = [];
  const ramp = new Ramp(connections, (attempt) => attempts.push(attempt));
  return { ramp, attempts };
}

describe("ramp", () => {
  it("begins nothing before begin(), and no more than may be in flight", () => {
    const { ramp, attempts } = started(100);
    ramp.turn(0);
    assert.equal(attempts.length, 0);
    ramp.begin(0, 10, 0);
    ramp.turn(0);
    assert.equal(attempts.length, 10);
    ramp.opened();
    ramp.turn(0);
    assert.deepEqual([attempts.length, ramp.inFlight, ramp.pending], [11, 10, 99]);
  });

  it("keeps to the rate", () => {
    const { ramp, attempts } = started(100);
    ramp.begin(1000, 1000, 5000);
    for (const nowMs of [5000, 5001.5, 5010, 5010.4]) ramp.turn(nowMs);
    assert.equal(attempts.length, 10);
  });

  it("retries a failed attempt three times, each after a longer pause, then abandons it", () => {
    const { ramp, attempts } = started(1);
    ramp.begin(0, 10, 0);
    ramp.turn(0);
    for (const [attempt, pauseMs] of [500, 1000, 2000].entries()) {
      ramp.failed(attempt, "http_503", 0);
      ramp.turn(pauseMs - 1);
      assert.equal(attempts.length, attempt + 1, "before the pause is over");
      ramp.turn(pauseMs);
      assert.deepEqual(attempts.at(-1), attempt + 1);
    }
    assert.equal(ramp.settled, false);
    ramp.failed(3, "http_503", 0);
    assert.deepEqual([ramp.abandoned, ramp.retries, ramp.settled], [1, 3, true]);
  });

  it("abandons at once after a final answer", () => {
    const verdicts = [
      "bad_accept",
      "bad_answer",
      "http_400",
      "http_404",
      "http_503",
      "http_429",
      "timeout",
      "ECONNRESET",
    ];
    assert.deepEqual(verdicts.map(worthRetrying), [false, false, false, false, true, true, true, true]);
  });

  it("retries nothing after a halt", () => {
    const { ramp, attempts } = started(5);
    ramp.begin(0, 2, 0);
    ramp.turn(0);
    ramp.halt();
    ramp.failed(0, "given up", 0);
    ramp.failed(0, "given up", 0);
    ramp.turn(10_000);
    assert.deepEqual([attempts.length, ramp.settled, ramp.pending], [2, true, 0]);
  });
});
