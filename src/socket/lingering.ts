/**
 * Counts descriptors of connections that ended with a close frame while the peer keeps its side open: uWebSockets holds
 * them until the idle timeout and reports them nowhere. A peer that collects them could bring the worker to its descriptor
 * limit, where uWebSockets spins at 100 % CPU (src/README.md fact 11), so they count against the cap. The count is an upper
 * estimate; the kernel's list corrects it only where it would matter, because reading that takes 27 ms at 19,000
 * descriptors. Worker only.
 */
import { readdirSync } from "node:fs";

const RECOUNT_MS = 1000;

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

export class Lingering {
  #max = 0;
  #recountedMs = -Infinity;
  readonly #countOpen: () => number;
  readonly #nowMs: () => number;
  /** Descriptors that are not connections. */
  readonly #others: number;

  constructor(countOpen: () => number = openDescriptors, nowMs: () => number = () => performance.now()) {
    this.#countOpen = countOpen;
    this.#nowMs = nowMs;
    this.#others = countOpen();
  }

  /** One more connection ended with a close frame. */
  add(): void {
    this.#max += 1;
  }

  /** The greatest possible number, next to `held` live connections. Exact, at most a second old, where the sum reaches `cap`. */
  count(held: number, cap: number): number {
    if (this.#max > 0 && held + this.#max >= cap && this.#nowMs() - this.#recountedMs >= RECOUNT_MS) {
      this.#recountedMs = this.#nowMs();
      this.#max = Math.max(0, Math.min(this.#max, this.#countOpen() - this.#others - held));
    }
    return this.#max;
  }
}
