/**
 * Questions to the workers: what only they know, such as how many sockets follow a topic, or who reads slowly.
 * A worker in the middle of a broadcast may take seconds: after `WAIT_MS` the answer is what is known. Hub process only.
 */

import type { Peer } from "./topic-table.js";
import { encode, type Question, type Reply } from "./wire.js";

const WAIT_MS = 1000;

interface Running {
  left: number;
  readonly replies: Reply[];
  readonly done: (replies: readonly Reply[]) => void;
}

export class WorkerQueries {
  #ids = 0;
  readonly #running = new Map<number, Running>();

  /** Resolves with what the peers answer in time. */
  ask(question: Question, peers: Iterable<Peer>): Promise<readonly Reply[]> {
    const id = this.#ids++;
    const frame = encode({ type: "ask", id, question });
    const asked = [...peers];
    if (asked.length === 0) return Promise.resolve([]);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#finish(id), WAIT_MS);
      const done = (replies: readonly Reply[]): void => {
        clearTimeout(timer);
        resolve(replies);
      };
      this.#running.set(id, { left: asked.length, replies: [], done });
      for (const peer of asked) peer.write(frame);
    });
  }

  replied(reply: Reply): void {
    const running = this.#running.get(reply.id);
    if (!running) return;
    running.replies.push(reply);
    running.left -= 1;
    if (running.left === 0) this.#finish(reply.id);
  }

  #finish(id: number): void {
    const running = this.#running.get(id);
    this.#running.delete(id);
    running?.done(running.replies);
  }
}
