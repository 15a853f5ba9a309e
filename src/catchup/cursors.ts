/**
 * Cursors of parked sockets, and how many parked sockets each topic has: they are subscribers too, although uWebSockets does
 * not count them. A parked socket itself keeps one map, from topic to cursor. Worker only; sends nothing.
 */
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { Cursor } from "../topics/journal.js";

/** The cursor of one socket in each of its topics. */
export type SocketCursors = Map<string, Cursor>;

export class ParkedSubscriptions {
  readonly #counts = new Map<string, number>();
  readonly #emptied: (topic: string) => void;

  /** `emptied` is called when the last parked subscriber of a topic is gone or live again. */
  constructor(emptied: (topic: string) => void) {
    this.#emptied = emptied;
  }

  count(topic: string): number {
    return this.#counts.get(topic) ?? 0;
  }

  /** Subscribes the socket of these cursors, or moves its cursor. */
  set(cursors: SocketCursors, topic: string, cursor: Cursor): void {
    if (!cursors.has(topic)) {
      this.#counts.set(topic, this.count(topic) + 1);
      counters[SLOT.subscriptions]! += 1;
    }
    cursors.set(topic, cursor);
  }

  /** False when the socket was not subscribed. */
  remove(cursors: SocketCursors, topic: string): boolean {
    if (!cursors.delete(topic)) return false;
    const count = this.count(topic) - 1;
    if (count === 0) {
      this.#counts.delete(topic);
      this.#emptied(topic);
    } else this.#counts.set(topic, count);
    counters[SLOT.subscriptions]! -= 1;
    return true;
  }
}
