/** Goodbyes are spread over the time in which the clients can be taken back, and never beyond the bound. */
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

const order = (given: Partial<DrainOptions>): DrainOptions => ({
  reason: "restart",
  among: 1,
  perSecond: 10_000,
  withinMs: 60_000,
  ...given,
});

async function told(size: number, given: Partial<DrainOptions>): Promise<{ sessions: FakeSessions; tookMs: number }> {
  const sessions = new FakeSessions(size);
  const startMs = performance.now();
  await drainClients(sessions, order(given));
  return { sessions, tookMs: performance.now() - startMs };
}

describe("a farewell", () => {
  it("spreads the closes over the time in which they can come back, in slices", async () => {
    const { sessions, tookMs } = await told(5000, {});
    assert.equal(sessions.size, 0);
    assert.ok(tookMs >= 400 && tookMs < 2000, `${tookMs} ms`);
    assert.ok(Math.max(...sessions.slices.map(({ max }) => max)) <= 256);
    const half = sessions.slices.filter(({ atMs }) => atMs < 250).reduce((n, { max }) => n + max, 0);
    assert.ok(half < 4000, `${half} of 5,000 in the first half`);
  });

  it("shares the pace with the others that leave, and is done when it must be", async () => {
    const { sessions, tookMs } = await told(1000, { among: 4, withinMs: 100, reason: "drain" });
    assert.ok(tookMs < 1000, `${tookMs} ms`);
    assert.deepEqual([...sessions.messages], ['{"event":"goodbye","reason":"drain","reconnect":{"afterMs":[0,1000]}}']);
    const paced = await told(1000, { among: 4 });
    assert.ok(paced.tookMs >= 300, `${paced.tookMs} ms`);
  });

  it("of nobody takes no time", async () => {
    const { sessions, tookMs } = await told(0, {});
    assert.deepEqual(sessions.slices, []);
    assert.ok(tookMs < 100);
  });

  it("gives a window as long as everybody takes to come back, a second at least", () => {
    assert.deepEqual([windowMsOf(0, 10_000), windowMsOf(9000, 10_000), windowMsOf(1e6, 10_000)], [1000, 1000, 100_000]);
  });
});
