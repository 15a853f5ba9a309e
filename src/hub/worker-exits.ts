/**
 * When a worker that ended is struck off: its process is gone and its link has closed, in whichever order the hub learns
 * of it. Its last counters come on the link, and counted before them its clients would seem lost. Hub process only.
 */
import type { Fleet } from "../metrics/fleet.js";

export class WorkerExits {
  /** Processes that ended while their link was still being read: pid → what to strike off then. */
  readonly #pending = new Map<number, { worker: number; ended: number }>();
  constructor(
    private readonly isLinked: (pid: number) => boolean,
    private readonly fleet: Pick<Fleet, "gone">,
    /** Ended processes that the fleet's numbers no longer contain. */
    public counted: number,
  ) {}

  /** `ended`: how many have, in all. */
  processEnded(worker: number, pid: number, ended: number): void {
    this.#pending.set(pid, { worker, ended });
    if (!this.isLinked(pid)) this.linkClosed(pid);
  }

  /** The process may still live and dial again: then nothing happens. */
  linkClosed(pid: number): void {
    const one = this.#pending.get(pid);
    if (!one || !this.#pending.delete(pid)) return;
    this.fleet.gone(one.worker, pid);
    this.counted = Math.max(this.counted, one.ended);
  }
}
