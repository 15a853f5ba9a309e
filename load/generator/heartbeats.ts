/**
 * Spreads heartbeats over the hold: each open connection sends the same number, evenly in time, so that the gateway gets a
 * steady stream and not a burst. Runs in generators, on one timer for all connections while the hold lasts.
 */
import { monotonicMs } from "./clock.js";
import type { Connections } from "./connections.js";

/** Between two batches. A shorter tick would be smoother, but some fifty generators wake up for it on the same cores. */
const TICK_MS = 40;

/** The connections of the generator, as far as heartbeats use them. */
export type HeartbeatConnections = Pick<Connections, "top" | "heartbeat">;

export class Heartbeats {
  readonly #connections: HeartbeatConnections;
  readonly #sentSome: () => void;
  #startedAtMs = 0;
  #overMs = 0;
  #total = 0;
  #due = 0;
  #cursor = 0;
  #timer: NodeJS.Timeout | undefined;
  sent = 0;
  answered = 0;

  constructor(connections: HeartbeatConnections, sentSome: () => void) {
    this.#connections = connections;
    this.#sentSome = sentSome;
  }

  begin(perConnection: number, overMs: number, open: number): void {
    this.#startedAtMs = monotonicMs();
    this.#overMs = Math.max(1, overMs);
    this.#total = this.sent + perConnection * open;
    this.#due = this.sent;
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  get expecting(): boolean {
    return this.#timer !== undefined && this.answered < this.sent;
  }

  get complete(): boolean {
    return this.answered === this.#total;
  }

  #tick(): void {
    const share = Math.min(1, (monotonicMs() - this.#startedAtMs) / this.#overMs);
    this.#due = Math.floor(this.#total * share);
    let skipped = 0;
    // A full round in which none could send means that all wait for an answer: the next tick continues.
    while (this.sent < this.#due && skipped <= this.#connections.top) {
      if (this.#cursor >= this.#connections.top) this.#cursor = 0;
      if (this.#connections.heartbeat(this.#cursor++)) {
        this.sent++;
        skipped = 0;
      } else skipped++;
    }
    this.#sentSome();
    if (share === 1 && this.answered >= this.sent && this.sent >= this.#total) this.stop();
  }
}
