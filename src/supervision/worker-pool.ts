/**
 * The worker processes as a group: which there are, which are at their caps, which are leaving. Every process has a slot, a
 * number that no other living worker has; slots are reused. Supervisor only.
 *
 * If all workers stopped listening, the kernel would refuse clients. So the last worker with room, or all of them if none has
 * room, listens beyond its cap and answers 503. A worker learns it before it is full, so that it does not close its listener
 * first. A worker that is dead, starting or leaving has no room to offer.
 */

import type { DrainOptions } from "../drain/goodbye.js";
import type { Log } from "../log.js";
import { Child } from "./child-process.js";
import type { ChildReport, Ended, StartWorker } from "./control-channel.js";

export interface Worker {
  readonly slot: number;
  readonly child: Child;
  readonly up: boolean;
  full: boolean;
  leaving: boolean;
  /** It has been told to listen beyond its cap when it is full. */
  overflow: boolean;
  /** Milliseconds in which its clients were told to come back, once it has said goodbye. */
  windowMs: number;
}

export interface WorkerPoolDeps {
  readonly log: Log;
  /** Entry file of a worker, relative to child-process.ts; a test has one of its own. */
  readonly entry?: string;
  startMessage(slot: number): StartWorker;
  /** Every message of a worker: log lines, readiness, what makes a start impossible. */
  onMessage(message: ChildReport): void;
  /** Called at each death; `deaths` counts them. */
  onEarlyDeath(name: string, deaths: number): void;
  /** The number of worker processes has changed. */
  onSizeChanged(size: number): void;
  ended(slot: number, pid: number): void;
}

export class WorkerPool {
  #workers: Worker[] = [];
  #full = false;
  #restarts = 0;
  #rolled = 0;

  readonly #deps: WorkerPoolDeps;

  constructor(deps: WorkerPoolDeps) {
    this.#deps = deps;
  }

  get workers(): readonly Worker[] {
    return this.#workers;
  }

  get ended(): Ended {
    return { restarts: this.#restarts, rolled: this.#rolled };
  }

  /** Starts one more, in the first free slot. */
  spawn(onDied: () => void = () => undefined): Worker {
    const taken = new Set(this.#workers.map(({ slot }) => slot));
    let slot = 0;
    while (taken.has(slot)) slot++;
    const name = `worker ${slot}`;
    const worker: Worker = {
      slot,
      get up() {
        return this.child.ready;
      },
      full: false,
      leaving: false,
      overflow: false,
      windowMs: 0,
      child: new Child({
        name,
        entry: this.#deps.entry ?? "../process/worker.js",
        log: this.#deps.log,
        startMessage: () => this.#deps.startMessage(slot),
        onMessage: (message) => this.#onMessage(worker, message),
        onDied: (pid, deaths) => {
          this.#restarts += 1;
          worker.overflow = false;
          this.#setFull(worker, false);
          this.#deps.ended(slot, pid);
          this.#deps.onEarlyDeath(name, deaths);
          onDied();
        },
      }),
    };
    this.#workers.push(worker);
    this.#deps.onSizeChanged(this.#workers.length);
    worker.child.start();
    this.#review();
    return worker;
  }

  #onMessage(worker: Worker, message: ChildReport): void {
    // The rest of the union is not about the group: the supervisor's switch is exhaustive.
    if (message.type === "full") this.#setFull(worker, message.full);
    if (message.type === "drained") worker.windowMs = message.windowMs;
    if (message.type === "ready") this.#review();
    this.#deps.onMessage(message);
  }

  #setFull(worker: Worker, full: boolean): void {
    worker.full = full;
    this.#review();
  }

  #review(): void {
    const mustOverflow = workersThatMustOverflow(this.#workers);
    for (const worker of this.#workers.filter(({ leaving }) => !leaving)) {
      const overflow = worker.up && mustOverflow.has(worker);
      if (overflow === worker.overflow) continue;
      worker.overflow = overflow;
      worker.child.send({ type: "overflow", on: overflow });
    }
    const full = isFull(this.#workers) ?? this.#full;
    if (full === this.#full) return;
    this.#full = full;
    this.#deps.log("warn", full ? "every worker that is up is at its cap; new clients get 503" : "there is room again");
  }

  /** Gives up a worker that never came up. */
  remove(worker: Worker): void {
    worker.child.kill();
    this.#forget(worker);
  }

  /** Sends its clients away and ends it. True if it had to be cut at the deadline. */
  async replace(worker: Worker, deadlineMs: number, drain: DrainOptions): Promise<boolean> {
    const pid = worker.child.pid ?? 0;
    worker.leaving = true;
    this.#review();
    const cut = await worker.child.stop(deadlineMs, drain);
    this.#rolled += 1;
    this.#forget(worker);
    this.#deps.ended(worker.slot, pid);
    return cut;
  }

  #forget(worker: Worker): void {
    this.#workers = this.#workers.filter((other) => other !== worker);
    this.#deps.onSizeChanged(this.#workers.length);
    this.#review();
  }

  /** Resolves with how many had to be cut at the deadline. */
  async stop(deadlineMs: number, drain: DrainOptions): Promise<number> {
    const cut = await Promise.all(this.#workers.map(({ child }) => child.stop(deadlineMs, drain)));
    return cut.filter(Boolean).length;
  }

  kill(): void {
    for (const { child } of this.#workers) child.kill();
  }
}

export interface WorkerSlot {
  /** Ready, and not dead since. */
  readonly up: boolean;
  readonly full: boolean;
  readonly leaving: boolean;
}

const hasRoom = ({ up, full, leaving }: WorkerSlot): boolean => up && !full && !leaving;

/** Those of `slots` that must listen beyond their caps once they are full. */
export function workersThatMustOverflow<P extends WorkerSlot>(slots: readonly P[]): ReadonlySet<P> {
  const roomy = slots.filter(hasRoom);
  if (roomy.length === 0) return new Set(slots);
  return new Set(roomy.length === 1 ? roomy : []);
}

/** Whether a client that comes now is refused; undefined while no worker is there to refuse it. */
export function isFull(slots: readonly WorkerSlot[]): boolean | undefined {
  const serving = slots.filter(({ up, leaving }) => up && !leaving);
  return serving.length === 0 ? undefined : !serving.some(hasRoom);
}
