/**
 * The account of broadcasts in one generator: which socket received which, how late, twice or not at all. It keeps the last
 * offset of each socket, 8 bytes each; only pushes of this run count as delivered. Runs in generators.
 */
import { monotonicMs } from "./clock.js";
import { type EncodedHistogram, Histogram } from "./histogram.js";
import type { Push } from "./protocol.js";

const PATIENCE = 0.01;
const MAX_PATIENCE_MS = 10;

export interface BroadcastTally {
  delivered: number;
  duplicates: number;
  /** Receipt by the last socket so far, on the common clock. */
  lastAtMs: number;
}

export class Broadcasts {
  readonly #run: string;
  readonly #lastOffsets: Float64Array;
  readonly #tallies = new Map<number, BroadcastTally>();
  /** Latencies of the newest broadcast. */
  readonly #latencies = new Histogram();
  #newest = 0;
  /** When the push that was received last was published; 0 when none has come since patienceMs() was called. */
  #underWaySinceMs = 0;
  /** Over all broadcasts of this run. */
  delivered = 0;
  duplicates = 0;
  gaps = 0;

  constructor(slots: number, run: string) {
    this.#run = run;
    this.#lastOffsets = new Float64Array(slots);
  }

  /**
   * How long the poller may wait before it reads more pushes: a hundredth of the latency that is being measured, which is about
   * the histogram's own step (0.8 %), and at most MAX_PATIENCE_MS.
   */
  patienceMs(): number {
    if (this.#underWaySinceMs === 0) return 0;
    const ageMs = monotonicMs() - this.#underWaySinceMs;
    this.#underWaySinceMs = 0;
    return Math.min(MAX_PATIENCE_MS, ageMs * PATIENCE);
  }

  /** True when the newest broadcast has been received `receipts` times. */
  complete(receipts: number): boolean {
    return this.#tallies.get(this.#newest)?.delivered === receipts;
  }

  /** A socket's subscription was answered with this offset of the topic. */
  subscribed(fd: number, offset: number): void {
    this.#lastOffsets[fd] = offset;
  }

  received(fd: number, push: Push): void {
    const ours = push.run === this.#run;
    const last = this.#lastOffsets[fd]!;
    if (push.offset <= last) {
      this.duplicates++;
      if (ours) this.tally(push.n).duplicates++;
      return;
    }
    if (push.previous !== last) this.gaps++;
    this.#lastOffsets[fd] = push.offset;
    if (!ours) return;
    const tally = this.tally(push.n);
    const nowMs = monotonicMs();
    this.#underWaySinceMs = push.publishedAtMs;
    this.delivered++;
    tally.delivered++;
    tally.lastAtMs = nowMs;
    if (push.n === this.#newest) this.#latencies.recordMs(nowMs - push.publishedAtMs);
  }

  tally(n: number): BroadcastTally {
    let tally = this.#tallies.get(n);
    if (!tally) {
      tally = { delivered: 0, duplicates: 0, lastAtMs: 0 };
      this.#tallies.set(n, tally);
    }
    if (n > this.#newest) {
      this.#newest = n;
      this.#latencies.reset();
    }
    return tally;
  }

  /** The latencies of broadcast `n`, encoded; empty when a newer one has begun. */
  encoded(n: number): EncodedHistogram {
    return n === this.#newest ? this.#latencies.encode() : [];
  }
}
