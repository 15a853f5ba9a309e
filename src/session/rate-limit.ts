/**
 * The limit of messages and pings from one connection in one second. Knows only connections that sent something since the
 * last tick, in one map that is replaced every second, so that a silent connection costs nothing. A second that spans two
 * ticks may pass twice as many. Worker only.
 */
import type { Socket } from "../protocol/socket.js";

export class MessageRateLimit {
  #counts = new Map<Socket, number>();

  /** At most `max` messages from one connection between two ticks; Infinity sets no limit. */
  constructor(readonly max: number) {}

  /** Counts one message. True when it exceeds the limit. */
  exceeded(socket: Socket): boolean {
    if (this.max === Infinity) return false;
    const count = (this.#counts.get(socket) ?? 0) + 1;
    this.#counts.set(socket, count);
    return count > this.max;
  }

  /** Once a second. Makes a new map, because an emptied one keeps the memory of its worst second. */
  tick(): void {
    if (this.#counts.size > 0) this.#counts = new Map();
  }
}
