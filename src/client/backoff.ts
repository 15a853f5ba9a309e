/**
 * When to come back. A close code's range says whether at all (DESIGN.md §3; the gateway's table is in the README); a
 * goodbye's window says when; without one it is full jitter, random(0, min(cap, base · 2^n)), where n counts attempts
 * since the last connection that lasted: a gateway that accepts and drops must not be hammered. The base is ours, or the
 * window that the gateway told early (`retry`) where the connection then ended without a word. Pure but for `random`.
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
  readonly #settings: BackoffSettings;
  #attempts = 0;
  #window: readonly [number, number] | undefined;
  /** Told by the gateway for an end without a word; 0 for nothing. */
  #toldMs = 0;
  #baseMs: number;

  constructor(settings: BackoffSettings) {
    this.#settings = settings;
    this.#baseMs = settings.baseMs;
  }

  /** A new connection, to a gateway that has not told anything yet. */
  opened(): void {
    this.#toldMs = 0;
  }

  /** Thousands would come back with us, should the connection end without a word. */
  told(afterMs: readonly [number, number]): void {
    this.#toldMs = afterMs[1];
  }

  /** The window of a goodbye; it counts for the next delay only. */
  order(afterMs: readonly [number, number]): void {
    this.#window = afterMs;
  }

  /** A connection ended, after `openMs` of being open; `wordless` when the other side did it, without a close frame. */
  ended(openMs: number, wordless: boolean): void {
    if (openMs >= this.#settings.stableMs) this.#attempts = 0;
    this.#baseMs = wordless ? Math.max(this.#settings.baseMs, this.#toldMs) : this.#settings.baseMs;
  }

  next(advice: Exclude<Advice, "never">): Delay {
    const { random, capMs } = this.#settings;
    const attempts = this.#attempts++;
    if (this.#window) {
      const [from, to] = this.#window;
      this.#window = undefined;
      return { delayMs: from + random() * (to - from), ordered: true };
    }
    if (advice === "now" && attempts === 0) return { delayMs: 0, ordered: false };
    return { delayMs: random() * Math.min(capMs, this.#baseMs * 2 ** attempts), ordered: false };
  }
}
