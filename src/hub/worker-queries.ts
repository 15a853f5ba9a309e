/**
 * Questions to the workers about what only they know, such as how many sockets follow a topic, or which read slowly.
 * A worker in the middle of a broadcast may take seconds: after `TIMEOUT_MS` the result is what has been answered until
 * then. Hub process only.
 */
import type { Peer } from "./topic-table.js";
import { encode, type Reply, type WorkerQuestion } from "./wire.js";

export const TIMEOUT_MS = 1000;

interface Pending {
  /** Workers that have not answered yet. */
  missing: number;
  readonly replies: Reply[];
  readonly done: (replies: readonly Reply[]) => void;
}

export class WorkerQueries {
  #lastId = 0;
  readonly #pending = new Map<number, Pending>();

  /** Resolves with what the peers answer in time. */
  ask(question: WorkerQuestion, peers: Iterable<Pick<Peer, "write">>): Promise<readonly Reply[]> {
    const id = ++this.#lastId;
    const frame = encode({ type: "ask", id, question });
    const asked = [...peers];
    if (asked.length === 0) return Promise.resolve([]);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#finish(id), TIMEOUT_MS);
      const done = (replies: readonly Reply[]): void => {
        clearTimeout(timer);
        resolve(replies);
      };
      this.#pending.set(id, { missing: asked.length, replies: [], done });
      for (const peer of asked) peer.write(frame);
    });
  }

  /** A reply that comes too late is ignored. */
  replied(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (!pending) return;
    pending.replies.push(reply);
    pending.missing -= 1;
    if (pending.missing === 0) this.#finish(reply.id);
  }

  #finish(id: number): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.done(pending.replies);
  }
}
