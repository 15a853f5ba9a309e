/**
 * How many connections the machine allows, as the supervisor last reported: a ceiling for each limit, and how often each limit was
 * in effect. The workers' caps are one more ceiling. Pure state; hub process only.
 */
import type { Sample } from "./exposition.js";

/** Next to the names of `megagate doctor`'s ceilings: the sum of the caps of the workers that run now. */
const WORKER_CAPS = "worker-caps";

export interface KnownLimits {
  /** Connections, by limit. */
  readonly ceilings: Readonly<Record<string, number>>;
  /** Seconds in which the limit was in effect, by limit. */
  readonly limitEvents: Readonly<Record<string, number>>;
}

export class LimitGauges {
  readonly #workerCaps: number;
  #known: KnownLimits = { ceilings: {}, limitEvents: {} };

  constructor(workerCaps: number) {
    this.#workerCaps = workerCaps;
  }

  update(known: KnownLimits): void {
    this.#known = known;
  }

  ceilings(): Sample[] {
    return samples({ [WORKER_CAPS]: this.#workerCaps, ...this.#known.ceilings });
  }

  /** Connections that each allows in addition to the present ones; 0 if it is exceeded. */
  headroom(connections: number): Sample[] {
    return this.ceilings().map((sample) => ({ ...sample, value: Math.max(0, sample.value - connections) }));
  }

  events(): Sample[] {
    return samples(this.#known.limitEvents);
  }
}

const samples = (values: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(values).map(([limit, value]) => ({ labels: { limit }, value }));
