/**
 * Whether a handshake may come in now, in one worker. A refusal costs nearly as much as an upgrade, so nobody is refused
 * who can be served in time: only when the worker is busy *and* so many handshakes wait that the last would wait longer
 * than allowed. The listener stays open meanwhile: leaving it would reset what is in the accept queue.
 *
 * With a fixed rate it is a leaky bucket instead, of one second: what comes faster is refused, busy or not.
 */
import { maxWaiting } from "./budget.js";

/** Share of a second in which the event loop did not sleep, from which a worker counts as busy. */
const BUSY = 0.9;
const BURST_SECONDS = 1;
/** A storm is over so long after its last sign. */
const LINGER_MS = 5000;
/** Who has a ticket is refused only at so many times the bound: tickets are given out at the pace of the budget. */
const WITH_TICKET = 2;

export class Gate {
  #share: number;
  #max = 0;
  #busy = false;
  /** Handshakes that were in flight while the worker had time for them: their clients are slow, they do not wait for us. */
  #stalled = 0;
  #level = 0;
  #levelAtMs = 0;
  #stormUntilMs = 0;
  /** Turned away in this storm: they come back. */
  #refused = 0;

  constructor(
    share: number,
    private readonly waitSeconds: number,
    private readonly isFixed: boolean,
  ) {
    this.#share = share;
    this.setShare(share);
  }

  /** This worker's part of the budget, handshakes a second. */
  setShare(share: number): void {
    this.#share = share;
    this.#max = this.isFixed ? Math.max(1, share * BURST_SECONDS) : maxWaiting(share, this.waitSeconds);
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

  /** Whether the one that has its turn now would have to be refused, were it not for its ticket. */
  isCrowded(inFlight: number): boolean {
    return this.isFixed ? this.#leaked() + 1 > this.#max : this.waiting(inFlight) > this.#max;
  }

  /** In a crowd: whether even those with a ticket are too many. */
  isCrushed(inFlight: number): boolean {
    const level = this.isFixed ? this.#level : this.waiting(inFlight);
    return level > WITH_TICKET * this.#max;
  }

  /** One more was let in. */
  admitted(): void {
    if (this.isFixed) this.#level += 1;
  }

  /** One more was refused. */
  refused(nowMs: number): void {
    this.#refused += 1;
    this.#stormUntilMs = nowMs + LINGER_MS;
  }

  /** Whether clients that ask for the address are given slots. */
  isStorm(nowMs: number): boolean {
    return nowMs <= this.#stormUntilMs;
  }

  /** Who is still to come, as far as it is known: those waiting and those refused. */
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
