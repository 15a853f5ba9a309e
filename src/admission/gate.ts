/**
 * Whether one worker admits a handshake now. A refusal costs nearly as much as an upgrade, so handshakes that can be served
 * in time are never refused: the gate refuses only when the worker is busy *and* so many handshakes wait that the last
 * would wait longer than allowed. The listener stays open meanwhile: closing it would reset the accept queue.
 *
 * With a fixed rate (--accept-rate) the gate is a leaky bucket of one second instead, busy or not. Pure but for the clock
 * of that bucket.
 */
import { maxWaiting } from "./budget.js";

/** A worker counts as busy from this share of a second in which the event loop did not sleep. */
const BUSY = 0.9;
const BURST_SECONDS = 1;
/** A storm ends this long after its last sign. */
const LINGER_MS = 5000;
/** A valid ticket is refused only at this multiple of the limit: tickets are issued at the rate of the budget. */
const TICKET_LIMIT_FACTOR = 2;

export interface GateOptions {
  /** This worker's share of the budget, handshakes a second. */
  readonly share: number;
  /** How long the last waiting handshake may wait. */
  readonly waitSeconds: number;
  /** The operator fixed the rate. */
  readonly isFixed: boolean;
}

export class Gate {
  readonly #waitSeconds: number;
  readonly #isFixed: boolean;
  #share: number;
  #max = 0;
  #busy = false;
  /** Handshakes that were in flight while the worker was idle: they wait for their slow clients, not for the worker. */
  #stalled = 0;
  /** Of the leaky bucket. */
  #level = 0;
  #levelAtMs = 0;
  #stormUntilMs = 0;
  /** Handshakes refused in this storm; their clients come back. */
  #refused = 0;

  constructor({ share, waitSeconds, isFixed }: GateOptions) {
    this.#waitSeconds = waitSeconds;
    this.#isFixed = isFixed;
    this.#share = share;
    this.setShare(share);
  }

  /** Handshakes a second. */
  setShare(share: number): void {
    this.#share = share;
    this.#max = this.#isFixed ? Math.max(1, share * BURST_SECONDS) : maxWaiting(share, this.#waitSeconds);
  }

  get share(): number {
    return this.#share;
  }

  /** Once a second: how many handshakes are in flight, and the share of that second in which the loop was busy. */
  tick(inFlight: number, busyShare: number, nowMs: number): void {
    this.#busy = busyShare >= BUSY;
    this.#stalled = this.#busy ? Math.min(this.#stalled, inFlight) : inFlight;
    if (this.#busy && this.waiting(inFlight) > this.#max / 2) this.#stormUntilMs = nowMs + LINGER_MS;
    if (nowMs > this.#stormUntilMs) this.#refused = 0;
  }

  /** Handshakes that wait for this worker. */
  waiting(inFlight: number): number {
    return this.#busy ? inFlight - this.#stalled : 0;
  }

  /** Whether a handshake without a ticket must be refused now. */
  isOverLimit(inFlight: number): boolean {
    return this.#isFixed ? this.#leaked() + 1 > this.#max : this.waiting(inFlight) > this.#max;
  }

  /** Whether even a handshake with a valid ticket must be refused now. */
  isOverTicketLimit(inFlight: number): boolean {
    const level = this.#isFixed ? this.#level : this.waiting(inFlight);
    return level > TICKET_LIMIT_FACTOR * this.#max;
  }

  /** One more handshake was admitted. */
  admitted(): void {
    if (this.#isFixed) this.#level += 1;
  }

  /** One more handshake was refused. */
  refused(nowMs: number): void {
    this.#refused += 1;
    this.#stormUntilMs = nowMs + LINGER_MS;
  }

  /** Whether clients that ask for the address get slots. */
  isStorm(nowMs: number): boolean {
    return nowMs <= this.#stormUntilMs;
  }

  /** Known clients that are still to be admitted: those that wait and those that were refused. */
  expected(inFlight: number): number {
    return this.waiting(inFlight) + this.#refused;
  }

  #leaked(): number {
    const nowMs = performance.now();
    this.#level = Math.max(0, this.#level - ((nowMs - this.#levelAtMs) / 1000) * this.#share);
    this.#levelAtMs = nowMs;
    return this.#level;
  }
}
