/**
 * The one number about storms, and everything that follows from it: how many handshakes a second the gateway can sustain,
 * measured while it was busy with them, and until then assumed. Pure arithmetic on what workers count; no clock, no I/O.
 *
 *   counters ─► Budget ─► rate ─► handshakes that may wait · Retry-After · window of a goodbye · slots · pace of a drain
 *
 * A sample is `handshakes / busy seconds of the workers' event loops × workers`, in seconds in which handshakes waited: what the
 * workers would do if all were busy. Refused handshakes count too: they cost nearly as much, and a budget that forgot
 * them would sink with each refusal. Whatever else the workers do meanwhile makes the sample smaller, as it should.
 */
import { RETURN_RATE_PER_CORE } from "../config/capacity.js";

/** Clients that come back also subscribe and catch up, and new ones come as well: half the rate is promised. */
const SAFETY = 2;
/** Handshakes a second of one core until they were measured. */
const PRIOR_PER_CORE = RETURN_RATE_PER_CORE * SAFETY;
/** Share of a sample in the new estimate: four seconds of storm decide. */
const WEIGHT = 0.3;
/** A single second moves the estimate at most so far: a pause of the machine is no measurement. */
const MAX_CHANGE = 4;
const MIN_RATE = 100;
/** Below it the workers were not the bottleneck. */
const BUSY_ENOUGH = 0.5;
/** Handshakes that wait must be worth so many seconds of work, or the clients were the bottleneck. */
const WAITING_SECONDS = 0.05;

const MIN_WINDOW_MS = 1000;
const MAX_RETRY_SECONDS = 60;

/** What all workers together counted since they started, and what waits now. */
export interface Totals {
  /** Handshakes answered: let in or refused. */
  readonly handshakes: number;
  /** Seconds that the workers' event loops were busy. */
  readonly busySeconds: number;
  /** Handshakes that wait for a worker. */
  readonly waiting: number;
}

export class Budget {
  #rate: number;
  #last: Totals | undefined;

  /** `given` is a rate that somebody fixed (not 0) or that was measured before. */
  constructor(
    private readonly workers: number,
    given: number,
    private readonly isFixed = false,
  ) {
    this.#rate = given;
  }

  /** Handshakes a second of the whole gateway. */
  get rate(): number {
    return this.#rate;
  }

  /** The totals as they are `seconds` after the last call. */
  measure(totals: Totals, seconds: number): void {
    const last = this.#last;
    this.#last = totals;
    if (this.isFixed || last === undefined) return;
    const handshakes = totals.handshakes - last.handshakes;
    const busy = totals.busySeconds - last.busySeconds;
    if (handshakes <= 0 || busy < BUSY_ENOUGH * seconds * this.workers) return;
    if (totals.waiting * seconds < WAITING_SECONDS * handshakes) return;
    const sample = (handshakes / busy) * this.workers;
    const believed = Math.min(Math.max(sample, this.#rate / MAX_CHANGE), this.#rate * MAX_CHANGE);
    this.#rate = Math.max(MIN_RATE, this.#rate + WEIGHT * (believed - this.#rate));
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

/** Milliseconds within which `connections` clients can come back without waiting. */
export function returnWindowMs(connections: number, rate: number): number {
  return Math.max(MIN_WINDOW_MS, Math.ceil((connections / rate) * SAFETY * 1000));
}

/** Connections a second that may be sent away, because so many can come back beside whoever else comes. */
export function returnRate(rate: number): number {
  return Math.max(1, Math.floor(rate / SAFETY));
}

/** Whole seconds for `Retry-After`, spread evenly over the time that `clients` need. `random` is in [0, 1). */
export function retryAfterSeconds(clients: number, rate: number, random: number): number {
  return spreadSeconds(returnWindowMs(clients, rate), random);
}

/** Whole seconds within a window, for `Retry-After`: never at once, and within a minute. */
export function spreadSeconds(windowMs: number, random: number): number {
  return 1 + Math.floor(random * Math.min(MAX_RETRY_SECONDS, Math.ceil(windowMs / 1000)));
}

/** Whether a rate or window differs enough from what the workers know to tell them. */
export function isNews(known: number, now: number): boolean {
  return Math.abs(now - known) > 0.1 * known;
}
