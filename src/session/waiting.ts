/**
 * Requests that wait for the hub to describe their topic, or for an offset that the client has seen already: in order,
 * for each socket and topic. Usually empty; a socket that closes meanwhile is forgotten with all of them. Worker only.
 * One waiter stands for a socket and topic at the meeting point (topics/), however many requests wait behind it.
 */
import type { Wish } from "../protocol/messages.js";
import type { Socket } from "../protocol/socket.js";

/** A socket that waits for a topic. */
export interface Waiter {
  readonly socket: Socket;
  readonly topic: string;
}

export interface WaitingRequest {
  readonly wish: Wish;
  /** Monotonic milliseconds. */
  readonly askedMs: number;
}

type Queues = Map<string, readonly WaitingRequest[]>;

export class Waiting {
  readonly #sockets = new Map<Socket, Queues>();

  /** The topics that the socket waits for. */
  topicsOf(socket: Socket): ReadonlyMap<string, readonly WaitingRequest[]> | undefined {
    return this.#sockets.size === 0 ? undefined : this.#sockets.get(socket);
  }

  has(socket: Socket, topic: string): boolean {
    return this.topicsOf(socket)?.has(topic) === true;
  }

  /** How many requests of the socket wait, over all topics. */
  count(socket: Socket): number {
    let count = 0;
    for (const queue of this.topicsOf(socket)?.values() ?? []) count += queue.length;
    return count;
  }

  add(socket: Socket, topic: string, requests: readonly WaitingRequest[]): void {
    const queues: Queues = this.#sockets.get(socket) ?? new Map<string, readonly WaitingRequest[]>();
    queues.set(topic, [...(queues.get(topic) ?? []), ...requests]);
    this.#sockets.set(socket, queues);
  }

  /** Removes and returns those of a topic; none if the socket closed or unsubscribed meanwhile. */
  take(socket: Socket, topic: string): readonly WaitingRequest[] {
    const queues = this.#sockets.get(socket);
    const requests = queues?.get(topic) ?? [];
    queues?.delete(topic);
    if (queues?.size === 0) this.#sockets.delete(socket);
    return requests;
  }

  closed(socket: Socket): void {
    if (this.#sockets.size > 0) this.#sockets.delete(socket);
  }
}
