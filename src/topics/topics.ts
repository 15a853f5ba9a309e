/**
 * The meeting point, in each worker: which topics are followed here, where each one's numbering stands, and who waits
 * for a topic that the hub has not described yet. Delivery goes out through a given `publish`; interest goes back to the
 * hub through given callbacks, so that this room imports neither sockets nor hub.
 *
 * Order is the lock: the hub describes a topic (`standing`) before its next publication on the same FIFO pipe, and the
 * waiting sockets are subscribed in the tick in which that arrives. So there is no gap, no duplicate and no lock.
 */
import type { Position, Publication } from "./publication.js";

export interface Topic {
  readonly name: string;
  epoch: string;
  /** Offset of the last publication that was delivered here; 0 before any. */
  offset: number;
  /** The answer to a plain Subscribe at this offset, kept because a storm asks for it thousands of times. */
  answer: Buffer | undefined;
}

/** What the worker lends to this room. `W` is a waiting subscriber, opaque here. */
export interface Surroundings<W> {
  want(topic: string, position?: Position): void;
  unwant(topic: string): void;
  /** Sends to every native subscriber of the topic. */
  publish(topic: string, message: Uint8Array): void;
  /** How many native subscribers the topic has on this worker. */
  subscribers(topic: string): number;
  /** The topic is here: subscribe and answer these. */
  arrived(topic: Topic, waiting: readonly W[]): void;
  /** The hub did not answer in time: tell these. */
  gaveUp(topic: string, waiting: readonly W[]): void;
}

interface Asked<W> {
  readonly waiting: W[];
  readonly sinceMs: number;
}

/** How long a subscriber waits for a hub that does not answer. */
export const WAIT_MS = 10_000;

export class Topics<W> {
  readonly #followed = new Map<string, Topic>();
  readonly #asked = new Map<string, Asked<W>>();
  /** Topics whose last subscriber left, and when. */
  readonly #idle = new Map<string, number>();

  constructor(
    private readonly around: Surroundings<W>,
    private readonly lingerMs: number,
  ) {}

  get size(): number {
    return this.#followed.size;
  }

  /** The topic if it is followed here already. */
  find(name: string): Topic | undefined {
    return this.#followed.get(name);
  }

  /** Asks the hub for a topic on behalf of a subscriber; the first of many asks for all. */
  wait(name: string, waiter: W, nowMs: number): void {
    const asked = this.#asked.get(name);
    if (asked) {
      asked.waiting.push(waiter);
      return;
    }
    this.#asked.set(name, { waiting: [waiter], sinceMs: nowMs });
    this.around.want(name);
  }

  /** The hub says where a topic stands: install it, or correct it after a broken link. */
  standing(name: string, position: Position): void {
    const topic = this.#followed.get(name) ?? { name, ...position, answer: undefined };
    if (topic.epoch !== position.epoch || topic.offset !== position.offset) this.#reset(topic, position);
    this.#followed.set(name, topic);
    const asked = this.#asked.get(name);
    this.#asked.delete(name);
    if (asked) this.around.arrived(topic, asked.waiting);
    if (this.around.subscribers(name) === 0) this.#idle.set(name, 0);
  }

  /** Publications were missed while the link was down: say so to everybody, never skip them quietly. */
  #reset(topic: Topic, { epoch, offset }: Position): void {
    topic.epoch = epoch;
    topic.offset = offset;
    topic.answer = undefined;
    const event = { event: "reset", topic: topic.name, epoch, offset, data: [] };
    this.around.publish(topic.name, Buffer.from(JSON.stringify(event)));
  }

  /** Hands one publication to every subscriber. The hot path: nothing here is done for each subscriber. */
  deliver(publication: Publication): void {
    const topic = this.#followed.get(publication.topic);
    // Not followed: the hub sent it before it read our unwant. At or below our offset: sent twice around a resync.
    if (!topic || publication.offset <= topic.offset) return;
    topic.offset = publication.offset;
    topic.answer = undefined;
    this.around.publish(topic.name, publication.push);
  }

  /** The last native subscriber of a topic left. */
  emptied(name: string, nowMs: number): void {
    if (this.#followed.has(name)) this.#idle.set(name, nowMs);
  }

  /** The link to the hub is new: ask again for everything that is followed or waited for. */
  relink(): void {
    for (const topic of this.#followed.values()) this.around.want(topic.name, topic);
    for (const name of this.#asked.keys()) if (!this.#followed.has(name)) this.around.want(name);
  }

  /** Once a second: forget topics that nobody wants any more, and waiters that waited too long. */
  sweep(nowMs: number): void {
    for (const [name, sinceMs] of this.#idle) {
      if (this.around.subscribers(name) > 0) this.#idle.delete(name);
      else if (sinceMs === 0) this.#idle.set(name, nowMs);
      else if (nowMs - sinceMs >= this.lingerMs) this.#forget(name);
    }
    for (const [name, asked] of this.#asked) {
      if (nowMs - asked.sinceMs < WAIT_MS) continue;
      this.#asked.delete(name);
      this.around.unwant(name);
      this.around.gaveUp(name, asked.waiting);
    }
  }

  #forget(name: string): void {
    this.#idle.delete(name);
    this.#followed.delete(name);
    this.around.unwant(name);
  }
}
