/**
 * Sockets whose subscriptions wait for the hub, or for an offset that they have seen already. Usually empty; a socket
 * that closes meanwhile is forgotten with all of its waits.
 */
import type { Wish } from "./protocol.js";
import type { Socket } from "./socket.js";

/** A subscriber that waits for its topic, or for the offset that it has seen already. */
export interface Waiter {
  readonly socket: Socket;
  readonly wish: Wish;
}

export class Waiting {
  readonly #counts = new Map<Socket, number>();

  count(socket: Socket): number {
    return this.#counts.size === 0 ? 0 : (this.#counts.get(socket) ?? 0);
  }

  begin(socket: Socket): void {
    this.#counts.set(socket, this.count(socket) + 1);
  }

  /** False if the socket closed meanwhile. */
  end(socket: Socket): boolean {
    const count = this.count(socket);
    if (count === 0) return false;
    if (count > 1) this.#counts.set(socket, count - 1);
    else this.#counts.delete(socket);
    return true;
  }

  closed(socket: Socket): void {
    if (this.#counts.size > 0) this.#counts.delete(socket);
  }
}
