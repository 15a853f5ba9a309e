/**
 * When to come back. A close code's range says whether at all (DESIGN.md §3; the gateway's table is in the README); a
 * goodbye's window says when; without one it is full jitter, random(0, min(cap, base · 2^n)), where n counts attempts
 * since the last connection that lasted: a gateway that accepts and drops must not be hammered. Pure but for `random`.
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
  /** Greatest first delay. */
  readonly baseMs: number;
  readonly capMs: number;
  /** A connection that lasted this long was a success. */
  readonly stableMs: number;
}

export interface Delay {
  readonly delayMs: number;
  /** The gateway chose the window: nothing on our side may shorten it. */
  readonly ordered: boolean;
}

export class Backoff {
  #attempts = 0;
  #window: readonly [number, number] | undefined;

  constructor(private readonly settings: BackoffSettings) {}

  /** The window of a goodbye; it counts for the next delay only. */
  order(afterMs: readonly [number, number]): void {
    this.#window = afterMs;
  }

  /** A connection ended, after `openMs` of being open. */
  ended(openMs: number): void {
    if (openMs >= this.settings.stableMs) this.#attempts = 0;
  }

  next(advice: Exclude<Advice, "never">): Delay {
    const { random, baseMs, capMs } = this.settings;
    const attempts = this.#attempts++;
    if (this.#window) {
      const [from, to] = this.#window;
      this.#window = undefined;
      return { delayMs: from + random() * (to - from), ordered: true };
    }
    if (advice === "now" && attempts === 0) return { delayMs: 0, ordered: false };
    return { delayMs: random() * Math.min(capMs, baseMs * 2 ** attempts), ordered: false };
  }
}
