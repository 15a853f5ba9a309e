/**
 * How many sockets follow a topic, over all workers: the hub knows only which workers want it, so they are asked.
 * A worker in the middle of a broadcast may take seconds: after `WAIT_MS` the answer is what is known. Hub process only.
 */

import type { Peer } from "./hub.js";
import { encode } from "./wire.js";

const WAIT_MS = 1000;

export class Census {
  #ids = 0;
  readonly #running = new Map<number, { left: number; sum: number; done: (sum: number) => void }>();

  /** Resolves with the sum of what the peers answer in time. */
  ask(topic: string, peers: Iterable<Peer>): Promise<number> {
    const id = this.#ids++;
    const frame = encode({ type: "ask", id, topic });
    const asked = [...peers];
    if (asked.length === 0) return Promise.resolve(0);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#finish(id), WAIT_MS);
      const done = (sum: number): void => {
        clearTimeout(timer);
        resolve(sum);
      };
      this.#running.set(id, { left: asked.length, sum: 0, done });
      for (const peer of asked) peer.write(frame);
    });
  }

  counted(id: number, subscribers: number): void {
    const running = this.#running.get(id);
    if (!running) return;
    running.sum += subscribers;
    running.left -= 1;
    if (running.left === 0) this.#finish(id);
  }

  #finish(id: number): void {
    const running = this.#running.get(id);
    this.#running.delete(id);
    running?.done(running.sum);
  }
}
