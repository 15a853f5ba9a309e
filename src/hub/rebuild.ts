/**
 * How a hub that lost its memory gets it back: every worker offers its replicas, the one that is ahead wins, and only
 * then are wants answered and publications taken. Workers that do not come within `WAIT_MS` are not waited for.
 *
 * Offsets go on only where nobody can have seen a later one: a worker that is gone, or does not offer, may have handed
 * out publications that no other worker received before the hub died. Their numbers must not be given out twice, so then
 * all numbering begins anew and every follower is told. Hub process only.
 */
import type { Hub } from "./hub.js";

export const WAIT_MS = 3000;

export class Rebuild {
  readonly #offered = new Set<number>();
  /** What waits for the end: answers to wants that came meanwhile. */
  #after: (() => void)[] = [];
  readonly #timer: NodeJS.Timeout | undefined;

  /**
   * `workers`: how many are expected to offer; 0 where there is nothing to rebuild. `allLived`: they are the processes
   * that the hub before knew, each of them.
   */
  constructor(
    private readonly hub: Hub,
    private readonly workers: number,
    private readonly allLived: boolean,
    private readonly onDone: (offered: number, isContinued: boolean) => void,
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
    const isContinued = this.allLived && this.#offered.size === this.workers;
    if (!isContinued) this.hub.renumberAll();
    this.hub.open = true;
    this.onDone(this.#offered.size, isContinued);
    for (const act of this.#after.splice(0)) act();
  }
}
