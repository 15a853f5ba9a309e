/**
 * The worker processes as a group: who there is, who is at its cap, who is leaving. Every process has a place, a number that
 * no other living one has; places are used again. Supervisor only.
 */

import type { Farewell } from "../drain/goodbye.js";
import type { Log } from "../log.js";
import { Child } from "./child-process.js";
import type { Ended, FromChild, StartWorker } from "./control-channel.js";

export interface Worker {
  readonly place: number;
  readonly child: Child;
  readonly up: boolean;
  full: boolean;
  leaving: boolean;
  /** It has been told to listen beyond its cap when it is full (overflow.ts). */
  overflow: boolean;
  /** The window that its clients were given when it said goodbye. */
  windowMs: number;
}

export interface CrewSurroundings {
  readonly log: Log;
  startMessage(place: number): StartWorker;
  /** What is not about the group: log lines, readiness, what makes a start impossible. */
  heard(message: FromChild): void;
  /** It died before it was ever ready, so many times in a row. */
  diedEarly(name: string, deaths: number): void;
  /** How many there are has changed. */
  changed(size: number): void;
  ended(place: number, pid: number): void;
}

export class Crew {
  #workers: Worker[] = [];
  #full = false;
  #restarts = 0;
  #rolled = 0;

  constructor(private readonly around: CrewSurroundings) {}

  get workers(): readonly Worker[] {
    return this.#workers;
  }

  get ended(): Ended {
    return { restarts: this.#restarts, rolled: this.#rolled };
  }

  /** Starts one more, at the first free place. */
  hire(onDied: () => void = () => undefined): Worker {
    const taken = new Set(this.#workers.map(({ place }) => place));
    let place = 0;
    while (taken.has(place)) place++;
    const name = `worker ${place}`;
    const worker: Worker = {
      place,
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
        log: this.around.log,
        startMessage: () => this.around.startMessage(place),
        onMessage: (message) => this.#heard(worker, message),
        onDied: (pid, deaths) => {
          this.#restarts += 1;
          worker.overflow = false;
          this.#setFull(worker, false);
          this.around.ended(place, pid);
          this.around.diedEarly(name, deaths);
          onDied();
        },
      }),
    };
    this.#workers.push(worker);
    this.around.changed(this.#workers.length);
    worker.child.start();
    this.#review();
    return worker;
  }

  #heard(worker: Worker, message: FromChild): void {
    if (message.type === "full") this.#setFull(worker, message.full);
    else if (message.type === "farewell") worker.windowMs = message.windowMs;
    else if (message.type === "ready") this.#review();
    this.around.heard(message);
  }

  #setFull(worker: Worker, full: boolean): void {
    worker.full = full;
    this.#review();
  }

  #review(): void {
    const alone = withoutHelp(this.#workers);
    for (const worker of this.#workers.filter(({ leaving }) => !leaving)) {
      const overflow = worker.up && alone.has(worker);
      if (overflow === worker.overflow) continue;
      worker.overflow = overflow;
      worker.child.tell({ type: "overflow", on: overflow });
    }
    const full = isFull(this.#workers) ?? this.#full;
    if (full === this.#full) return;
    this.#full = full;
    this.around.log(
      "warn",
      full ? "every worker that is up is at its cap; new clients get 503" : "there is room again",
    );
  }

  /** One that never came up: it is not tried again. */
  dismiss(worker: Worker): void {
    worker.child.kill();
    this.#forget(worker);
  }

  /** Sends its clients away and ends it. True if it had to be cut at the deadline. */
  async replace(worker: Worker, deadlineMs: number, farewell: Farewell): Promise<boolean> {
    const pid = worker.child.pid ?? 0;
    worker.leaving = true;
    this.#review();
    const cut = await worker.child.stop(deadlineMs, farewell);
    this.#rolled += 1;
    this.#forget(worker);
    this.around.ended(worker.place, pid);
    return cut;
  }

  #forget(worker: Worker): void {
    this.#workers = this.#workers.filter((other) => other !== worker);
    this.around.changed(this.#workers.length);
    this.#review();
  }

  /** Resolves with how many had to be cut at the deadline. */
  async stop(deadlineMs: number, farewell: Farewell): Promise<number> {
    const cut = await Promise.all(this.#workers.map(({ child }) => child.stop(deadlineMs, farewell)));
    return cut.filter(Boolean).length;
  }

  kill(): void {
    for (const { child } of this.#workers) child.kill();
  }
}

export interface Place {
  /** It listens: ready, and not dead since. */
  readonly up: boolean;
  readonly full: boolean;
  readonly leaving: boolean;
}

const hasRoom = ({ up, full, leaving }: Place): boolean => up && !full && !leaving;

/** Those of `places` that are to listen beyond their caps once they are full. */
export function withoutHelp<P extends Place>(places: readonly P[]): ReadonlySet<P> {
  const roomy = places.filter(hasRoom);
  if (roomy.length === 0) return new Set(places);
  return new Set(roomy.length === 1 ? roomy : []);
}

/** Whether whoever comes now is refused; undefined while there is nobody to say so. */
export function isFull(places: readonly Place[]): boolean | undefined {
  const serving = places.filter(({ up, leaving }) => up && !leaving);
  return serving.length === 0 ? undefined : !serving.some(hasRoom);
}
