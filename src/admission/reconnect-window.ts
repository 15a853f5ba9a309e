/**
 * The window in which clients wait a random time before they reconnect after a disconnect without a close frame, because a
 * process or a part of the machine died: they must know it in advance. It follows the gateway's size and rate in powers of
 * two, so that it is sent to all clients only when it has doubled. Each worker has one and updates it once a second. Pure.
 */
const MIN_MS = 1000;
/** A longer window would cost a single client too much for a rare event; handshakes beyond the rate are then refused. */
const MAX_MS = 8000;
/** The share of its connections that a gateway may lose at once and take back while the other clients do not notice. */
const SHARE = 0.3;
/** A shorter window counts only when it has lasted this long: a restarted hub counts from zero. */
const LASTING_MS = 60_000;

/** `allMs` is the window in which all clients can reconnect. The result is MIN_MS times a power of two. */
export function unannouncedWindowMs(allMs: number): number {
  const steps = Math.ceil(Math.log2((allMs * SHARE) / MIN_MS));
  return Math.min(MAX_MS, MIN_MS * 2 ** Math.max(0, steps));
}

export class ReconnectWindow {
  #windowMs = MIN_MS;
  #lowerSinceMs: number | undefined;

  /** The window to send to new clients; undefined for the minimum, which clients assume by themselves. */
  get windowMs(): number | undefined {
    return this.#windowMs === MIN_MS ? undefined : this.#windowMs;
  }

  /** `allMs` as of now. True when the connected clients must be sent a longer window. */
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
