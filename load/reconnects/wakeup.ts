/**
 * One timer for all connections of a generator that wait to reconnect: it fires when the earliest is due. Runs in generators;
 * which connections are due is the redial queue's.
 */
import { monotonicMs } from "../generator/clock.js";

/** How late a client may dial: those that become due within this time dial together. */
const LATE_MS = 10;

export class Wakeup {
  readonly #onTime: () => void;
  #timer: NodeJS.Timeout | undefined;
  #atMs = Number.POSITIVE_INFINITY;

  constructor(ring: () => void) {
    this.#onTime = ring;
  }

  /** Fires at that time, or at an earlier time that was set before. */
  atLatest(atMs: number): void {
    if (atMs >= this.#atMs) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#atMs = Number.POSITIVE_INFINITY;
        this.#onTime();
      },
      Math.max(LATE_MS, atMs - monotonicMs()),
    );
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#atMs = Number.POSITIVE_INFINITY;
  }
}
