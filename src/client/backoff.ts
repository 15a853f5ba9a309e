/**
 * When to reconnect. A close code says whether to (4100–4199 at once, 4300–4399 and RFC 6455's errors never, others after a
 * delay); the window of a goodbye says when. Without a window the delay has full jitter, random(0, min(cap, base · 2^n)), where n
 * counts attempts since the last connection that lasted: the client must not hammer a gateway that accepts and drops. The base is
 * the client's own, or, if the connection ended without a close frame, the window that the gateway announced early (`retry`).
 * Pure but for `random`.
 */

/** What a close code asks of the client. */
export type Advice = "now" | "window" | "never";

/** RFC 6455 §7.4.1: protocol error, unsupported data, invalid data, policy violation, message too big. */
const FINAL_CODES: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009]);

export function adviceOf(closeCode: number): Advice {
  if (closeCode >= 4100 && closeCode < 4200) return "now";
  if (closeCode >= 4300 && closeCode < 4400) return "never";
  return FINAL_CODES.has(closeCode) ? "never" : "window";
}

export interface BackoffSettings {
  readonly random: () => number;
  /** Longest first delay. */
  readonly baseMs: number;
  readonly capMs: number;
  /** A connection that lasted this long was a success. */
  readonly stableMs: number;
}

export interface Delay {
  readonly delayMs: number;
  /** The gateway chose the window: the client must not shorten it. */
  readonly isFixed: boolean;
}

export class Backoff {
  readonly #settings: BackoffSettings;
  #attempts = 0;
  #window: readonly [number, number] | undefined;
  /** Announced by the gateway for a disconnect without a close frame; 0: nothing. */
  #announcedMs = 0;
  #baseMs: number;

  constructor(settings: BackoffSettings) {
    this.#settings = settings;
    this.#baseMs = settings.baseMs;
  }

  /** A new connection, to a gateway that has announced nothing yet. */
  opened(): void {
    this.#announcedMs = 0;
  }

  /** The window for a disconnect without a close frame: thousands of clients would reconnect together. */
  announced(afterMs: readonly [number, number]): void {
    this.#announcedMs = afterMs[1];
  }

  /** The window of a goodbye, for the next delay only. */
  setWindow(afterMs: readonly [number, number]): void {
    this.#window = afterMs;
  }

  /** A connection ended after it was open for `openMs`. `isAbnormal`: the other side ended it without a close frame. */
  ended(openMs: number, isAbnormal: boolean): void {
    if (openMs >= this.#settings.stableMs) this.#attempts = 0;
    this.#baseMs = isAbnormal ? Math.max(this.#settings.baseMs, this.#announcedMs) : this.#settings.baseMs;
  }

  next(advice: Exclude<Advice, "never">): Delay {
    const { random, capMs } = this.#settings;
    const attempts = this.#attempts++;
    if (this.#window) {
      const [from, to] = this.#window;
      this.#window = undefined;
      return { delayMs: from + random() * (to - from), isFixed: true };
    }
    if (advice === "now" && attempts === 0) return { delayMs: 0, isFixed: false };
    return { delayMs: random() * Math.min(capMs, this.#baseMs * 2 ** attempts), isFixed: false };
  }
}
