/** When a client reconnects: the policy `sdk` follows what the gateway asks for, the policy `naive` does not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pauseMs } from "../../../../load/reconnects/backoff.js";

const ABSENCE = { attempts: 0, reason: "ECONNRESET", goodbyeDelayMs: Number.NaN, retryWindowMs: 0, retryAfterMs: 0 };
const SDK = { policy: "sdk", naiveMs: 0 } as const;
const half = (): number => 0.5;

describe("pause before a reconnect", () => {
  it("sdk: a random part of a bound that doubles, up to 30 s", () => {
    const pauses = [0, 1, 2, 5, 200].map((attempts) => pauseMs(SDK, { ...ABSENCE, attempts }, half));
    assert.deepEqual(pauses, [500, 1000, 2000, 15_000, 15_000]);
  });

  it("sdk: a goodbye's window comes first; Retry-After is added to the random part", () => {
    assert.equal(pauseMs(SDK, { ...ABSENCE, goodbyeDelayMs: 42_000, retryAfterMs: 9000 }, half), 42_000);
    assert.equal(pauseMs(SDK, { ...ABSENCE, reason: "http_503", retryAfterMs: 5000 }, half), 5500);
  });

  it("sdk: the window of `retry` is the first bound where it is longer than the SDK's own", () => {
    const pauses = [0, 1, 2].map((attempts) => pauseMs(SDK, { ...ABSENCE, retryWindowMs: 8000, attempts }, half));
    assert.deepEqual(pauses, [4000, 8000, 15_000]);
    assert.equal(pauseMs(SDK, { ...ABSENCE, retryWindowMs: 500 }, half), 500);
  });

  it("sdk: close codes mean at once, or never", () => {
    assert.equal(pauseMs(SDK, { ...ABSENCE, reason: "4101" }, half), 0);
    assert.equal(pauseMs(SDK, { ...ABSENCE, reason: "4101", attempts: 1 }, half), 1000, "not in a tight loop");
    for (const reason of ["4300", "4399", "1009", "1002"]) {
      assert.equal(pauseMs(SDK, { ...ABSENCE, reason }, half), null, reason);
    }
    for (const reason of ["1012", "4200", "1006", "http_429", "eof"]) {
      assert.equal(pauseMs(SDK, { ...ABSENCE, reason }, half), 500, reason);
    }
  });

  it("naive: the same pause whatever the gateway asks for; none: never", () => {
    const withAdvice = { attempts: 7, reason: "4300", goodbyeDelayMs: 60_000, retryWindowMs: 8000, retryAfterMs: 9000 };
    assert.equal(pauseMs({ policy: "naive", naiveMs: 5000 }, withAdvice), 5000);
    assert.equal(pauseMs({ policy: "none", naiveMs: 5000 }, ABSENCE), null);
  });
});
