/** When a client comes back: what the gateway says is obeyed by the SDK's way, and by the naive one not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pauseMs } from "../../../../load/reconnects/backoff.js";

const ABSENCE = { attempts: 0, reason: "ECONNRESET", orderedMs: Number.NaN, toldMs: 0, retryAfterMs: 0 };
const half = (): number => 0.5;

describe("pause before coming back", () => {
  it("sdk: a random part of a bound that doubles, up to 30 s", () => {
    const pauses = [0, 1, 2, 5, 200].map((attempts) => pauseMs("sdk", 0, { ...ABSENCE, attempts }, half));
    assert.deepEqual(pauses, [500, 1000, 2000, 15_000, 15_000]);
  });

  it("sdk: a goodbye's window stands above all, Retry-After comes before the random part", () => {
    assert.equal(pauseMs("sdk", 0, { ...ABSENCE, orderedMs: 42_000, retryAfterMs: 9000 }, half), 42_000);
    assert.equal(pauseMs("sdk", 0, { ...ABSENCE, reason: "http_503", retryAfterMs: 5000 }, half), 5500);
  });

  it("sdk: what was told early is the first bound, where it is longer than the SDK's own", () => {
    const pauses = [0, 1, 2].map((attempts) => pauseMs("sdk", 0, { ...ABSENCE, toldMs: 8000, attempts }, half));
    assert.deepEqual(pauses, [4000, 8000, 15_000]);
    assert.equal(pauseMs("sdk", 0, { ...ABSENCE, toldMs: 500 }, half), 500);
  });

  it("sdk: close codes say at once, or never", () => {
    assert.equal(pauseMs("sdk", 0, { ...ABSENCE, reason: "4101" }, half), 0);
    assert.equal(pauseMs("sdk", 0, { ...ABSENCE, reason: "4101", attempts: 1 }, half), 1000, "not in a tight loop");
    for (const reason of ["4300", "4399", "1009", "1002"]) {
      assert.equal(pauseMs("sdk", 0, { ...ABSENCE, reason }, half), null, reason);
    }
    for (const reason of ["1012", "4200", "1006", "http_429", "eof"]) {
      assert.equal(pauseMs("sdk", 0, { ...ABSENCE, reason }, half), 500, reason);
    }
  });

  it("naive: the same pause whatever is said; none: never", () => {
    const told = { attempts: 7, reason: "4300", orderedMs: 60_000, toldMs: 8000, retryAfterMs: 9000 };
    assert.equal(pauseMs("naive", 5000, told), 5000);
    assert.equal(pauseMs("none", 5000, ABSENCE), null);
  });
});
