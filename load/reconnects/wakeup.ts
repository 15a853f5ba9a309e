/** One timer for all that wait in a generator: rings when the earliest is due. */
import { monotonicMs } from "../generator/clock.js";

/** How late a client may dial: those who are due in between begin together. */
const LATE_MS = 10;

export class Wakeup {
  private timer: NodeJS.Timeout | undefined;
  private atMs = Number.POSITIVE_INFINITY;

  constructor(private readonly ring: () => void) {}

  /** Rings at that time, or at an earlier one that it was given before. */
  atLatest(atMs: number): void {
    if (atMs >= this.atMs) return;
    clearTimeout(this.timer);
    this.atMs = atMs;
    this.timer = setTimeout(
      () => {
        this.atMs = Number.POSITIVE_INFINITY;
        this.ring();
      },
      Math.max(LATE_MS, atMs - monotonicMs()),
    );
  }

  clear(): void {
    clearTimeout(this.timer);
    this.atMs = Number.POSITIVE_INFINITY;
  }
}
