/**
 * How a hub that lost its memory gets it back: every worker offers its replicas, the one that is ahead wins, and only
 * then are wants answered and publications taken. Workers that do not come within `WAIT_MS` are not waited for; one that
 * comes later with numbers that this hub does not know makes its topic begin anew (hub.ts). Hub process only.
 */
import type { Hub } from "./hub.js";

export const WAIT_MS = 3000;

export class Rebuild {
  readonly #offered = new Set<number>();
  /** What waits for the end: answers to wants that came meanwhile. */
  #after: (() => void)[] = [];
  readonly #timer: NodeJS.Timeout | undefined;

  /** `workers`: how many are expected to offer; 0 where there is nothing to rebuild. */
  constructor(
    private readonly hub: Hub,
    private readonly workers: number,
    private readonly onDone: (offered: number) => void,
  ) {
    if (workers === 0) return;
    hub.open = false;
    this.#timer = setTimeout(() => this.#finish(), WAIT_MS);
  }

  get running(): boolean {
    return !this.hub.open;
  }

  /** Runs now, or when every replica has been gathered. */
  whenDone(act: () => void): void {
    if (this.running) this.#after.push(act);
    else act();
  }

  offered(worker: number): void {
    this.#offered.add(worker);
    if (this.running && this.#offered.size === this.workers) this.#finish();
  }

  #finish(): void {
    clearTimeout(this.#timer);
    this.hub.open = true;
    this.onDone(this.#offered.size);
    for (const act of this.#after.splice(0)) act();
  }
}
