/**
 * The window in which clients are to come back whose connection ends without a word, because a process or a part of the
 * machine died: they must know it before. It follows the gateway's size and rate in steps, so that everybody need be told only
 * when it has doubled. One for each worker, looked at once a second; pure.
 */
const MIN_MS = 1000;
/** Beyond it a single client would pay too much for what happens seldom: more than come back then than can be taken are refused. */
const MAX_MS = 8000;
/** The share of its connections that a gateway loses at once and takes back while the others do not notice. */
const SHARE = 0.3;
/** A loss of clients is no news until it has lasted: a hub that was restarted counts from nothing. */
const LASTING_MS = 60_000;

/** `allMs` is the window in which all of them can come back. A power of two times the least. */
export function unannouncedWindowMs(allMs: number): number {
  const steps = Math.ceil(Math.log2((allMs * SHARE) / MIN_MS));
  return Math.min(MAX_MS, MIN_MS * 2 ** Math.max(0, steps));
}

export class ReconnectWindow {
  #windowMs = MIN_MS;
  #lowerSinceMs: number | undefined;

  /** What newcomers are to be told; the least one is what clients assume, and need not be said. */
  get windowMs(): number | undefined {
    return this.#windowMs === MIN_MS ? undefined : this.#windowMs;
  }

  /** The window in which all could come back now. True when those who are here must be told a longer one. */
  update(allMs: number, nowMs: number): boolean {
    const wanted = unannouncedWindowMs(allMs);
    if (wanted >= this.#windowMs) {
      this.#lowerSinceMs = undefined;
      const longer = wanted > this.#windowMs;
      this.#windowMs = wanted;
      return longer;
    }
    this.#lowerSinceMs ??= nowMs;
    if (nowMs - this.#lowerSinceMs >= LASTING_MS) {
      this.#windowMs = wanted;
      this.#lowerSinceMs = undefined;
    }
    return false;
  }
}
