/**
 * Latencies of pushes in one window of a scenario, of connections that nothing has happened to in it, by the second in which
 * they were published. Runs in generators.
 */
import { type EncodedHistogram, Histogram } from "../generator/histogram.js";

/** Later ones are counted with the last. */
const MAX_SECONDS = 60;

export class Latencies {
  private readonly seconds: Histogram[] = [];
  /** The window in which something last happened to a connection: it was away, or it did not read. */
  private readonly touched: Uint32Array;
  private index = 1;
  private atMs = 0;

  constructor(connections: number) {
    this.touched = new Uint32Array(connections);
  }

  window(index: number, atMs: number): void {
    this.index = index;
    this.atMs = atMs;
    for (const times of this.seconds) times.reset();
  }

  touch(number: number): void {
    this.touched[number] = this.index;
  }

  record(number: number, publishedAtMs: number, nowMs: number): void {
    // What was published earlier belongs to the window before.
    if (this.touched[number] === this.index || publishedAtMs < this.atMs) return;
    const second = Math.min(MAX_SECONDS - 1, Math.floor((publishedAtMs - this.atMs) / 1000));
    while (this.seconds.length <= second) this.seconds.push(new Histogram());
    this.seconds[second]!.recordMs(nowMs - publishedAtMs);
  }

  encode(): readonly EncodedHistogram[] {
    return this.seconds.map((times) => times.encode());
  }
}
