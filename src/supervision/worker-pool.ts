/**
 * The worker processes as a group: who there is, who is at its cap, who is leaving. Every process has a place, a number that
 * no other living one has; places are used again. Supervisor only.
 */

import type { DrainOptions } from "../drain/goodbye.js";
import type { Log } from "../log.js";
import { Child } from "./child-process.js";
import type { Ended, FromChild, StartWorker } from "./control-channel.js";

export interface Worker {
  readonly slot: number;
  readonly child: Child;
  readonly up: boolean;
  full: boolean;
  leaving: boolean;
  /** It has been told to listen beyond its cap when it is full (overflow.ts). */
  overflow: boolean;
  /** The window that its clients were given when it said goodbye. */
  windowMs: number;
}

export interface WorkerPoolDeps {
  readonly log: Log;
  startMessage(slot: number): StartWorker;
  /** What is not about the group: log lines, readiness, what makes a start impossible. */
  heard(message: FromChild): void;
  /** It died before it was ever ready, so many times in a row. */
  diedEarly(name: string, deaths: number): void;
  /** How many there are has changed. */
  changed(size: number): void;
  ended(slot: number, pid: number): void;
}

export class WorkerPool {
  #workers: Worker[] = [];
  #full = false;
  #restarts = 0;
  #rolled = 0;

  constructor(private readonly deps: WorkerPoolDeps) {}

  get workers(): readonly Worker[] {
    return this.#workers;
  }

  get ended(): Ended {
    return { restarts: this.#restarts, rolled: this.#rolled };
  }

  /** Starts one more, at the first free place. */
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
        entry: "../process/worker.js",
        log: this.deps.log,
        startMessage: () => this.deps.startMessage(slot),
        onMessage: (message) => this.#heard(worker, message),
        onDied: (pid, deaths) => {
          this.#restarts += 1;
          worker.overflow = false;
          this.#setFull(worker, false);
          this.deps.ended(slot, pid);
          this.deps.diedEarly(name, deaths);
          onDied();
        },
      }),
    };
    this.#workers.push(worker);
    this.deps.changed(this.#workers.length);
    worker.child.start();
    this.#review();
    return worker;
  }

  #heard(worker: Worker, message: FromChild): void {
    if (message.type === "full") this.#setFull(worker, message.full);
    else if (message.type === "farewell") worker.windowMs = message.windowMs;
    else if (message.type === "ready") this.#review();
    this.deps.heard(message);
  }

  #setFull(worker: Worker, full: boolean): void {
    worker.full = full;
    this.#review();
  }

  #review(): void {
    const alone = workersThatMustOverflow(this.#workers);
    for (const worker of this.#workers.filter(({ leaving }) => !leaving)) {
      const overflow = worker.up && alone.has(worker);
      if (overflow === worker.overflow) continue;
      worker.overflow = overflow;
      worker.child.tell({ type: "overflow", on: overflow });
    }
    const full = isFull(this.#workers) ?? this.#full;
    if (full === this.#full) return;
    this.#full = full;
    this.deps.log("warn", full ? "every worker that is up is at its cap; new clients get 503" : "there is room again");
  }

  /** One that never came up: it is not tried again. */
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
    this.deps.ended(worker.slot, pid);
    return cut;
  }

  #forget(worker: Worker): void {
    this.#workers = this.#workers.filter((other) => other !== worker);
    this.deps.changed(this.#workers.length);
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
  /** It listens: ready, and not dead since. */
  readonly up: boolean;
  readonly full: boolean;
  readonly leaving: boolean;
}

const hasRoom = ({ up, full, leaving }: WorkerSlot): boolean => up && !full && !leaving;

/** Those of `places` that are to listen beyond their caps once they are full. */
export function workersThatMustOverflow<P extends WorkerSlot>(slots: readonly P[]): ReadonlySet<P> {
  const roomy = slots.filter(hasRoom);
  if (roomy.length === 0) return new Set(slots);
  return new Set(roomy.length === 1 ? roomy : []);
}

/** Whether whoever comes now is refused; undefined while there is nobody to say so. */
export function isFull(slots: readonly WorkerSlot[]): boolean | undefined {
  const serving = slots.filter(({ up, leaving }) => up && !leaving);
  return serving.length === 0 ? undefined : !serving.some(hasRoom);
}
