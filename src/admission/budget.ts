/**
 * The rate of handshakes that the gateway can sustain, and everything that follows from it. The rate is measured while the
 * workers are busy with handshakes, and assumed until then. Pure arithmetic on the workers' counters; no clock, no I/O.
 *
 *   counters ─► Budget ─► rate ─► handshakes that may wait · Retry-After · window of a goodbye · slots · rate of a drain
 *
 * A sample is `handshakes / busy seconds of the workers' event loops × workers`, taken in seconds in which handshakes waited:
 * the rate of the workers if all were busy. Refused handshakes count too: they cost nearly as much, and a budget without
 * them would fall with each refusal. Other work of the workers makes the sample smaller, as it should.
 */
import { RETURN_RATE_PER_CORE } from "../config/capacity.js";

/** Clients that reconnect also subscribe and catch up, and new clients come as well: half the rate is promised. */
const SAFETY = 2;
/** Assumed handshakes a second of one core, until they are measured. */
const PRIOR_PER_CORE = RETURN_RATE_PER_CORE * SAFETY;
/** Share of a sample in the new estimate: after four seconds of storm the estimate is mostly measured. */
const WEIGHT = 0.3;
/** A sample counts as at most this multiple of the estimate, and at least its inverse: a pause of the machine is no measurement. */
const MAX_CHANGE = 4;
const MIN_RATE = 100;
/** Share of busy time below which the workers were not the bottleneck. */
const BUSY_ENOUGH = 0.5;
/** Where the waiting handshakes are less than this many seconds of work, the clients were the bottleneck. */
const WAITING_SECONDS = 0.05;

const MIN_WINDOW_MS = 1000;
const MAX_RETRY_SECONDS = 60;

/** Sums over all workers since they started, and the handshakes that wait now. */
export interface Totals {
  /** Handshakes answered: admitted or refused. */
  readonly handshakes: number;
  /** Seconds that the workers' event loops were busy. */
  readonly busySeconds: number;
  /** Handshakes that wait for a worker. */
  readonly waiting: number;
}

export class Budget {
  readonly #workers: number;
  readonly #isFixed: boolean;
  #rate: number;
  #last: Totals | undefined;

  /** `rate` is fixed by the operator (`isFixed`), was measured before, or is priorRate. */
  constructor(workers: number, rate: number, isFixed = false) {
    this.#workers = workers;
    this.#rate = rate;
    this.#isFixed = isFixed;
  }

  /** Handshakes a second of the whole gateway. */
  get rate(): number {
    return this.#rate;
  }

  /** The totals as they are `seconds` after the last call. */
  measure(totals: Totals, seconds: number): void {
    const last = this.#last;
    this.#last = totals;
    if (this.#isFixed || last === undefined) return;
    const handshakes = totals.handshakes - last.handshakes;
    const busy = totals.busySeconds - last.busySeconds;
    if (handshakes <= 0 || busy < BUSY_ENOUGH * seconds * this.#workers) return;
    if (totals.waiting * seconds < WAITING_SECONDS * handshakes) return;
    const sample = (handshakes / busy) * this.#workers;
    const clamped = Math.min(Math.max(sample, this.#rate / MAX_CHANGE), this.#rate * MAX_CHANGE);
    this.#rate = Math.max(MIN_RATE, this.#rate + WEIGHT * (clamped - this.#rate));
  }
}

/** Handshakes a second of a gateway that has not been measured. */
export function priorRate(cores: number): number {
  return PRIOR_PER_CORE * cores;
}

/** How many handshakes may wait so that the last of them is answered within `waitSeconds`. Never fewer than a burst. */
export function maxWaiting(rate: number, waitSeconds: number): number {
  return Math.max(64, Math.ceil(rate * waitSeconds));
}

/** Milliseconds within which `connections` clients can reconnect without waiting. */
export function returnWindowMs(connections: number, rate: number): number {
  return Math.max(MIN_WINDOW_MS, Math.ceil((connections / rate) * SAFETY * 1000));
}

/** Connections a second that a drain may close: as many can reconnect while other clients connect too. */
export function returnRate(rate: number): number {
  return Math.max(1, Math.floor(rate / SAFETY));
}

/** Whole seconds for `Retry-After`, spread evenly over the time that `clients` handshakes need. `random` is in [0, 1). */
export function retryAfterSeconds(clients: number, rate: number, random: number): number {
  return spreadSeconds(returnWindowMs(clients, rate), random);
}

/** Whole seconds within a window, for `Retry-After`: at least 1 and at most 60. */
export function spreadSeconds(windowMs: number, random: number): number {
  return 1 + Math.floor(random * Math.min(MAX_RETRY_SECONDS, Math.ceil(windowMs / 1000)));
}

/** Whether a rate or window differs enough from what the workers know to be sent to them. */
export function isNews(known: number, now: number): boolean {
  return Math.abs(now - known) > 0.1 * known;
}
