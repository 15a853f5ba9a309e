/**
 * One timer, set anew as often as needed. The client has two: one for the heartbeat, and one for the next step of its
 * state machine. Nothing else in this room may call `setTimeout`, so that after `close()` nothing keeps a process alive.
 */
import type { Clock } from "./environment.js";

/** The longest that a timer can wait, 24 days; beyond it would ring at once. */
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
  set(delayMs: number, ring: () => void): void {
    this.clear();
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#timer = undefined;
        ring();
      },
      Math.min(delayMs, MAX_MS),
    );
  }

  clear(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
