/**
 * Connections that say too much in one second. Only those that spoke since the last tick are known, in one map that is
 * emptied every second, so that a silent connection costs nothing. A second that spans two ticks may pass twice as much.
 */
import type { Socket } from "../protocol/socket.js";

export class MessageRateLimit {
  #said = new Map<Socket, number>();

  /** `most` messages from one connection between two ticks; Infinity sets no limit. */
  constructor(readonly max: number) {}

  /** Counts one message; whether it is one too many. */
  exceeded(socket: Socket): boolean {
    if (this.max === Infinity) return false;
    const said = (this.#said.get(socket) ?? 0) + 1;
    this.#said.set(socket, said);
    return said > this.max;
  }

  /** Once a second. A new map: one that was emptied keeps the room of its worst second. */
  tick(): void {
    if (this.#said.size > 0) this.#said = new Map();
  }
}
