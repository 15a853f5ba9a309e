/**
 * When the next client that asks should come: one slot after the other at the worker's share of the budget. Beyond the
 * horizon slots are no longer counted but drawn, so that whoever asks for many cannot push the others away for ever.
 */
const HORIZON_MS = 60_000;

export class Slots {
  #nextMs = 0;

  /** The start of a slot, in milliseconds since the epoch. `random` is in [0, 1). */
  take(nowMs: number, share: number, random: number): number {
    const start = Math.max(nowMs, this.#nextMs);
    if (start - nowMs >= HORIZON_MS) return Math.floor(nowMs + random * HORIZON_MS);
    this.#nextMs = start + 1000 / share;
    return Math.floor(start);
  }
}
