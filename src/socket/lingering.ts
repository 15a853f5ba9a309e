/**
 * Descriptors of connections that ended with a close frame and whose peer does not close its side: uWebSockets keeps them
 * until the idle timeout, and tells nobody. A peer that collects them could bring the worker to its descriptor limit,
 * where uWebSockets spins (KERNEL.md §3.2), so they count against the cap. An estimate from above, put right by the kernel's
 * own list only when it would matter: reading that takes 27 ms at 19,000.
 */
import { readdirSync } from "node:fs";

const RECOUNT_MS = 1000;

const descriptors = (): number => readdirSync("/proc/self/fd").length;

export class Lingering {
  #max = 0;
  #recountedMs = -Infinity;
  /** Descriptors that are no connection. */
  readonly #others: number;

  constructor(
    private readonly open: () => number = descriptors,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.#others = open();
  }

  /** One more connection ended that way. */
  add(): void {
    this.#max += 1;
  }

  /** How many there are at most, beside `held` live ones; exact, at most a second old, where both reach `cap`. */
  count(held: number, cap: number): number {
    if (this.#max > 0 && held + this.#max >= cap && this.nowMs() - this.#recountedMs >= RECOUNT_MS) {
      this.#recountedMs = this.nowMs();
      this.#max = Math.max(0, Math.min(this.#max, this.open() - this.#others - held));
    }
    return this.#max;
  }
}
