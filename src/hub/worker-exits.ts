/**
 * When an ended worker leaves the fleet's numbers: after its process has ended and its link has closed, in whichever order the
 * hub learns of the two. Its last counters come on the link; removed before them, its clients would count as lost. Hub process only.
 */
import type { Fleet } from "../metrics/fleet.js";

export class WorkerExits {
  readonly #isLinked: (pid: number) => boolean;
  readonly #fleet: Pick<Fleet, "gone">;
  /** Processes that ended while their link was still being read, by pid. */
  readonly #pending = new Map<number, { worker: number; ended: number }>();
  constructor(
    isLinked: (pid: number) => boolean,
    fleet: Pick<Fleet, "gone">,
    /** Ended processes that the fleet's numbers no longer contain. */
    public counted: number,
  ) {
    this.#isLinked = isLinked;
    this.#fleet = fleet;
  }

  /** `ended`: how many processes have ended so far. */
  processEnded(worker: number, pid: number, ended: number): void {
    this.#pending.set(pid, { worker, ended });
    if (!this.#isLinked(pid)) this.linkClosed(pid);
  }

  /** The process may still be alive and dial again: then nothing happens. */
  linkClosed(pid: number): void {
    const exit = this.#pending.get(pid);
    if (!exit) return;
    this.#pending.delete(pid);
    this.#fleet.gone(exit.worker, pid);
    this.counted = Math.max(this.counted, exit.ended);
  }
}
