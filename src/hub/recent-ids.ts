/**
 * The latest idempotency keys: a publisher that repeats a topic and id gets the position of the first publication. Bounded in
 * bytes and age, the oldest forgotten first, each in constant time: a Map that is emptied from its front scans its deleted
 * entries (publishing became 15 to 40 times slower beyond 100,000). The log holds them with their publications. Hub process only.
 */
import type { Position } from "../topics/publication.js";

export interface RecentLimits {
  readonly bytes: number;
  readonly ageMs: number;
}
/** Ten minutes; --idempotency-bytes bounds how many. */
export const IDEMPOTENCY_AGE_MS = 10 * 60_000;

export interface RecentId extends Position {
  /** Topic and id. */
  readonly name: string;
  /** Monotonic (clock.ts). */
  readonly atMs: number;
}

/** Map entry, object, number and string header of one id, without its characters (test/bench/topic-memory.ts measures it). */
const ID_BYTES = 190;

const bytesOf = ({ name }: RecentId): number => ID_BYTES + name.length;

export class RecentIds {
  readonly #limits: RecentLimits;
  readonly #known = new Map<string, RecentId>();
  /** The oldest first; entries before `#head` are forgotten. */
  #queue: (RecentId | undefined)[] = [];
  #head = 0;
  bytes = 0;

  constructor(limits: RecentLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Position of the publication that had this id. */
  find(topic: string, id: string, nowMs: number): Position | undefined {
    this.#forgetOld(nowMs);
    return this.#known.get(nameOf(topic, id));
  }

  /** An id that is known already keeps its first position. */
  remember(entry: RecentId, nowMs: number): void {
    if (this.#known.has(entry.name)) return;
    this.#known.set(entry.name, entry);
    this.#queue.push(entry);
    this.bytes += bytesOf(entry);
    this.#forgetOld(nowMs);
  }

  #forgetOld(nowMs: number): void {
    const oldestMs = nowMs - this.#limits.ageMs;
    for (;;) {
      const first = this.#queue[this.#head];
      if (first === undefined || (this.bytes <= this.#limits.bytes && first.atMs > oldestMs)) break;
      this.#known.delete(first.name);
      this.#queue[this.#head] = undefined;
      this.#head += 1;
      this.bytes -= bytesOf(first);
    }
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /** All that are remembered now, the oldest first, `size` at a time; for the log. */
  *parts(size: number): Generator<readonly RecentId[]> {
    const all = this.#queue.slice(this.#head) as RecentId[];
    for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
  }
}

/** A topic has no blank, so no two pairs have the same name. */
export const nameOf = (topic: string, id: string): string => `${topic} ${id}`;
