/**
 * Latencies of pushes in one window of a scenario, by the second in which they were published, of the connections that the
 * scenario left alone in that window. Runs in generators.
 */
import { type EncodedHistogram, Histogram } from "../generator/histogram.js";

/** Later seconds are counted with the last. */
const MAX_SECONDS = 60;

export class Latencies {
  readonly #seconds: Histogram[] = [];
  /** The last window in which a connection was disturbed: it was away, or it did not read. */
  readonly #touched: Uint32Array;
  #index = 1;
  #atMs = 0;

  constructor(connections: number) {
    this.#touched = new Uint32Array(connections);
  }

  window(index: number, atMs: number): void {
    this.#index = index;
    this.#atMs = atMs;
    for (const times of this.#seconds) times.reset();
  }

  touch(number: number): void {
    this.#touched[number] = this.#index;
  }

  record(number: number, publishedAtMs: number, nowMs: number): void {
    // A push that was published before belongs to the previous window.
    if (this.#touched[number] === this.#index || publishedAtMs < this.#atMs) return;
    const second = Math.min(MAX_SECONDS - 1, Math.floor((publishedAtMs - this.#atMs) / 1000));
    while (this.#seconds.length <= second) this.#seconds.push(new Histogram());
    this.#seconds[second]!.recordMs(nowMs - publishedAtMs);
  }

  encode(): readonly EncodedHistogram[] {
    return this.#seconds.map((times) => times.encode());
  }
}
