/** A drain spreads its goodbyes over the time in which the clients can reconnect, and never beyond its limit. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DrainOptions, type DrainTarget, drainClients, windowMsOf } from "../../../src/drain/goodbye.js";

class FakeSessions implements DrainTarget {
  readonly slices: { max: number; atMs: number }[] = [];
  messages = new Set<string>();
  readonly #startMs = performance.now();

  constructor(public size: number) {}

  drain(max: number, message: Buffer): void {
    this.slices.push({ max, atMs: performance.now() - this.#startMs });
    this.messages.add(message.toString());
    this.size -= Math.min(max, this.size);
  }
}

const options = (given: Partial<DrainOptions>): DrainOptions => ({
  reason: "restart",
  among: 1,
  perSecond: 10_000,
  withinMs: 60_000,
  ...given,
});

async function drained(
  size: number,
  given: Partial<DrainOptions>,
): Promise<{ sessions: FakeSessions; tookMs: number }> {
  const sessions = new FakeSessions(size);
  const startMs = performance.now();
  await drainClients(sessions, options(given));
  return { sessions, tookMs: performance.now() - startMs };
}

describe("a drain", () => {
  it("spreads the closes over the time in which the clients can reconnect, in slices", async () => {
    const { sessions, tookMs } = await drained(5000, {});
    assert.equal(sessions.size, 0);
    assert.ok(tookMs >= 400 && tookMs < 2000, `${tookMs} ms`);
    assert.ok(Math.max(...sessions.slices.map(({ max }) => max)) <= 256);
    const half = sessions.slices.filter(({ atMs }) => atMs < 250).reduce((n, { max }) => n + max, 0);
    assert.ok(half < 4000, `${half} of 5,000 in the first half`);
  });

  it("shares the rate with other workers that drain, and ends within its limit", async () => {
    const { sessions, tookMs } = await drained(1000, { among: 4, withinMs: 100, reason: "drain" });
    assert.ok(tookMs < 1000, `${tookMs} ms`);
    assert.deepEqual([...sessions.messages], ['{"event":"goodbye","reason":"drain","reconnect":{"afterMs":[0,1000]}}']);
    const paced = await drained(1000, { among: 4 });
    assert.ok(paced.tookMs >= 300, `${paced.tookMs} ms`);
  });

  it("without clients takes no time", async () => {
    const { sessions, tookMs } = await drained(0, {});
    assert.deepEqual(sessions.slices, []);
    assert.ok(tookMs < 100);
  });

  it("names a window in which all clients can reconnect, at least a second", () => {
    assert.deepEqual([windowMsOf(0, 10_000), windowMsOf(9000, 10_000), windowMsOf(1e6, 10_000)], [1000, 1000, 100_000]);
  });
});
