/**
 * What the machine leaves room for, as the supervisor last told it: ceilings by limit, and how often each limit was at work.
 * The workers' caps are one ceiling more. Pure state; hub process only.
 */
import type { Sample } from "./exposition.js";

/** Beside the names of `megagate doctor`'s ceilings: the caps of the workers that run now, in sum. */
const WORKER_CAPS = "worker-caps";

export interface Told {
  readonly ceilings: Readonly<Record<string, number>>;
  readonly limitEvents: Readonly<Record<string, number>>;
}

export class Limits {
  readonly #workerCaps: number;
  #told: Told = { ceilings: {}, limitEvents: {} };

  constructor(workerCaps: number) {
    this.#workerCaps = workerCaps;
  }

  update(told: Told): void {
    this.#told = told;
  }

  ceilings(): Sample[] {
    return samples({ [WORKER_CAPS]: this.#workerCaps, ...this.#told.ceilings });
  }

  /** Connections that each leaves beside those there are now; 0 where it is passed. */
  headroom(connections: number): Sample[] {
    return this.ceilings().map((sample) => ({ ...sample, value: Math.max(0, sample.value - connections) }));
  }

  events(): Sample[] {
    return samples(this.#told.limitEvents);
  }
}

const samples = (values: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(values).map(([limit, value]) => ({ labels: { limit }, value }));
