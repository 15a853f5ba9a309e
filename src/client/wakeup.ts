/**
 * One timer, set again as often as needed. The client has two: one for the heartbeat, and one for the next step of its
 * state machine. Nothing else in this folder may call `setTimeout`, so that after `close()` nothing keeps a process alive.
 */
import type { Clock } from "./environment.js";

/** The longest delay of a timer, 24 days; a longer one would fire at once. */
const MAX_MS = 2 ** 31 - 1;

export class Wakeup {
  readonly #clock: Clock;
  #timer: unknown;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isSet(): boolean {
    return this.#timer !== undefined;
  }

  /** Replaces what was set before. */
  set(delayMs: number, run: () => void): void {
    this.clear();
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#timer = undefined;
        run();
      },
      Math.min(delayMs, MAX_MS),
    );
  }

  clear(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
