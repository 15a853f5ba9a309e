/**
 * The idempotency keys of late: who publishes again with the same topic and id is told what the first time came to.
 * Bounded in number and age, the oldest forgotten first; about 0.3 KB each, 66 MB at the very worst (100,000 of the longest).
 * Lives in the hub process and dies with it: a new hub numbers anew and remembers nothing.
 */
import type { Position } from "../topics/publication.js";

export interface RecentLimits {
  readonly keys: number;
  readonly ageMs: number;
}
export const RECENT_LIMITS: RecentLimits = { keys: 100_000, ageMs: 10 * 60_000 };

interface Entry extends Position {
  readonly untilMs: number;
}

export class RecentIds {
  /** In order of insertion, which is order of age. */
  readonly #entries = new Map<string, Entry>();

  constructor(
    private readonly limits: RecentLimits = RECENT_LIMITS,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  get size(): number {
    return this.#entries.size;
  }

  /** Position of the publication that had this id. */
  find(topic: string, id: string): Position | undefined {
    this.#forget(this.nowMs());
    return this.#entries.get(name(topic, id));
  }

  /** Only for an id that `find` does not know. */
  remember(topic: string, id: string, { epoch, offset }: Position): void {
    const now = this.nowMs();
    this.#entries.set(name(topic, id), { epoch, offset, untilMs: now + this.limits.ageMs });
    this.#forget(now);
  }

  #forget(now: number): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= this.limits.keys && entry.untilMs > now) return;
      this.#entries.delete(key);
    }
  }
}

/** No topic has a blank, so no two pairs share a name. */
const name = (topic: string, id: string): string => `${topic} ${id}`;
