/**
 * Latencies of pushes in one window of a scenario, of connections that nothing has happened to in it. Runs in generators.
 */
import { type EncodedHistogram, Histogram } from "../histogram.js";

export class Latencies {
  private readonly times = new Histogram();
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
    this.times.reset();
  }

  touch(number: number): void {
    this.touched[number] = this.index;
  }

  record(number: number, publishedAtMs: number, nowMs: number): void {
    // What was published earlier belongs to the window before.
    if (this.touched[number] !== this.index && publishedAtMs >= this.atMs) this.times.recordMs(nowMs - publishedAtMs);
  }

  encode(): EncodedHistogram {
    return this.times.encode();
  }
}
