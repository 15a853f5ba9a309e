/**
 * Spreads heartbeats over the hold: each open connection sends the same number, evenly in time, so that the gateway sees
 * a steady stream and not a burst. Runs in generators, driven by one timer while it lasts.
 */

import { monotonicMs } from "./clock.js";
import type { Connections } from "./connections.js";

/** Between two batches. Shorter would be smoother, but some fifty generators wake up for it on the same cores. */
const TICK_MS = 40;

export class Heartbeats {
  private startedAtMs = 0;
  private overMs = 0;
  private total = 0;
  private due = 0;
  private cursor = 0;
  private timer: NodeJS.Timeout | undefined;
  sent = 0;
  answered = 0;

  constructor(
    private readonly connections: Connections,
    private readonly sentSome: () => void,
  ) {}

  begin(perConnection: number, overMs: number, open: number): void {
    this.startedAtMs = monotonicMs();
    this.overMs = Math.max(1, overMs);
    this.total = this.sent + perConnection * open;
    this.due = this.sent;
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  get expecting(): boolean {
    return this.timer !== undefined && this.answered < this.sent;
  }

  get complete(): boolean {
    return this.answered === this.total;
  }

  private tick(): void {
    const share = Math.min(1, (monotonicMs() - this.startedAtMs) / this.overMs);
    this.due = Math.floor(this.total * share);
    let skipped = 0;
    // A full round without one that may send means that all wait for an answer: the next tick goes on.
    while (this.sent < this.due && skipped <= this.connections.top) {
      if (this.cursor >= this.connections.top) this.cursor = 0;
      if (this.connections.heartbeat(this.cursor++)) {
        this.sent++;
        skipped = 0;
      } else skipped++;
    }
    this.sentSome();
    if (share === 1 && this.answered >= this.sent && this.sent >= this.total) this.stop();
  }
}
