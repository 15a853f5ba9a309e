/**
 * The meeting point, in each worker: which topics are followed here, where each one's numbering stands, and who waits
 * for a topic that the hub has not described yet. Delivery goes out through a given `publish`; interest goes back to the
 * hub through given callbacks, so that this room imports neither sockets nor hub.
 *
 * Order is the lock: the hub describes a topic (`standing`) before its next publication on the same FIFO pipe, and the
 * waiting sockets are subscribed in the tick in which that arrives. So there is no gap, no duplicate and no lock.
 */
import { Journal, type Place } from "./journal.js";
import { type Remembered, type StateEntry, TopicMemory } from "./memory.js";
import type { Position, Publication } from "./publication.js";
import type { SlowPolicy, TopicRules } from "./rules.js";

/** A replica: the topic as this worker knows it. */
export interface Topic {
  readonly name: string;
  epoch: string;
  /** Offset of the last publication that was delivered here; 0 before any. */
  offset: number;
  readonly memory: TopicMemory;
  readonly slowReaders: SlowPolicy;
  /** All that was delivered here so far, over all epochs: differences account for what a slow reader missed. */
  delivered: { messages: number; bytes: number };
}

/** What the hub says of a topic. Without `state` it is only what follows the position that this worker had. */
export interface Image extends Position {
  readonly history: readonly Remembered[];
  readonly state?: readonly StateEntry[] | undefined;
}

/** What the worker lends to this room. `W` is a waiting subscriber, opaque here. */
export interface Surroundings<W> {
  want(topic: string, position?: Position): void;
  unwant(topic: string): void;
  /** Sends to every native subscriber of the topic. */
  publish(topic: string, message: Uint8Array): void;
  /** How many native subscribers the topic has on this worker. */
  subscribers(topic: string): number;
  /** The topic is here, or has come to the offset that they wait for (or not, in vain): subscribe and answer these. */
  arrived(topic: Topic, waiting: readonly W[], inVain: boolean): void;
  /** Everything that this worker knew of the topic is void; its subscribers must be told what holds now. */
  reset(topic: Topic): void;
  /** The hub did not answer in time: tell these. */
  gaveUp(topic: string, waiting: readonly W[]): void;
}

/** Where a subscriber stands who has got everything. */
export const placeOf = ({ epoch, offset, delivered }: Topic): Place => ({ epoch, offset, ...delivered });

interface Asked<W> {
  readonly waiting: W[];
  readonly sinceMs: number;
}

/** How long a subscriber waits for a hub that does not answer. */
export const WAIT_MS = 10_000;

export class Topics<W> {
  readonly journal = new Journal();
  readonly #followed = new Map<string, Topic>();
  readonly #asked = new Map<string, Asked<W>>();
  /** Topics whose last subscriber left, and when. */
  readonly #idle = new Map<string, number>();

  /** Subscribers that know a later offset than this worker yet does: another worker was faster. */
  readonly #ahead = new Map<string, { waiter: W; offset: number; sinceMs: number }[]>();

  constructor(
    private readonly around: Surroundings<W>,
    private readonly rules: TopicRules,
    private readonly lingerMs: number,
    /** Topics without subscribers that are followed at most, looked at once a second. */
    private readonly maxIdle = Infinity,
  ) {}

  get size(): number {
    return this.#followed.size;
  }

  /** How many sockets of this worker follow the topic. */
  subscribers(name: string): number {
    return this.around.subscribers(name);
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

  /** A subscriber has seen `offset`, which is ahead of this replica: it arrives when the replica has come so far. */
  waitFor(topic: Topic, offset: number, waiter: W, nowMs: number): void {
    const list = this.#ahead.get(topic.name) ?? [];
    list.push({ waiter, offset, sinceMs: nowMs });
    this.#ahead.set(topic.name, list);
  }

  /**
   * The hub says where a topic stands: install it, or correct it after a broken link. Yields after each publication that
   * was missed, because the edge cannot take many in one turn.
   */
  *standing(name: string, image: Image): Generator<void> {
    const known = this.#followed.get(name);
    if (known && image.state === undefined && known.epoch === image.epoch) {
      for (const { offset, push, atMs, key } of image.history) {
        this.#pass({ topic: name, offset, key, push }, atMs);
        yield;
      }
    } else {
      this.#install(name, known, image);
    }
    const topic = this.#followed.get(name);
    // Forgotten between two steps: who waits will be asked for again.
    if (!topic) return;
    const asked = this.#asked.get(name);
    this.#asked.delete(name);
    if (asked) this.around.arrived(topic, asked.waiting, false);
    if (this.around.subscribers(name) === 0) this.#idle.set(name, 0);
  }

  #install(name: string, known: Topic | undefined, { epoch, offset, history, state }: Image): void {
    const topic = known ?? this.#create(name, epoch);
    topic.epoch = epoch;
    topic.offset = offset;
    topic.memory.restore(history, state ?? []);
    this.#followed.set(name, topic);
    // Publications were missed beyond what anybody remembers: said to everybody, never skipped quietly.
    if (!known) return;
    this.around.reset(topic);
    // Who waits for an offset of the old numbering waits for nothing: each is looked at again.
    const ahead = this.#ahead.get(name);
    this.#ahead.delete(name);
    if (ahead)
      this.around.arrived(
        topic,
        ahead.map(({ waiter }) => waiter),
        false,
      );
  }

  #create(name: string, epoch: string): Topic {
    const rule = this.rules.of(name);
    const memory = new TopicMemory(rule);
    const delivered = { messages: 0, bytes: 0 };
    return { name, epoch, offset: 0, memory, slowReaders: rule.slowReaders, delivered };
  }

  /** Hands one publication to every subscriber. The hot path: nothing here is done for each subscriber. */
  deliver(publication: Publication): void {
    const topic = this.#followed.get(publication.topic);
    if (!topic) return;
    // Copied: the received bytes are a view of a whole chunk, which would be kept with them.
    const kept = topic.memory.keepsHistory ? { ...publication, push: Buffer.from(publication.push) } : publication;
    this.#pass(kept, Date.now());
  }

  #pass(publication: Publication, atMs: number): void {
    const topic = this.#followed.get(publication.topic);
    // Not followed: the hub sent it before it read our unwant. At or below our offset: sent twice around a resync.
    if (!topic || publication.offset <= topic.offset) return;
    this.journal.record(topic.name, placeOf(topic));
    topic.offset = publication.offset;
    topic.delivered.messages += 1;
    topic.delivered.bytes += publication.push.length;
    topic.memory.add(publication, atMs);
    this.around.publish(topic.name, publication.push);
    if (this.#ahead.size > 0) this.#caughtUp(topic);
  }

  #caughtUp(topic: Topic): void {
    const list = this.#ahead.get(topic.name);
    if (!list) return;
    const rest = list.filter(({ offset }) => offset > topic.offset);
    if (rest.length === 0) this.#ahead.delete(topic.name);
    else this.#ahead.set(topic.name, rest);
    const here = list.filter(({ offset }) => offset <= topic.offset).map(({ waiter }) => waiter);
    if (here.length > 0) this.around.arrived(topic, here, false);
  }

  /** The last native subscriber of a topic left. */
  emptied(name: string, nowMs: number): void {
    if (!this.#followed.has(name)) return;
    // Anew, so that the order stays that of age.
    this.#idle.delete(name);
    this.#idle.set(name, nowMs);
  }

  /** Every replica, for a hub that lost its memory. */
  replicas(): Iterable<Topic> {
    return this.#followed.values();
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
    for (const name of this.#idle.keys()) {
      if (this.#idle.size <= this.maxIdle) break;
      this.#forget(name);
    }
    for (const [name, asked] of this.#asked) {
      if (nowMs - asked.sinceMs < WAIT_MS) continue;
      this.#asked.delete(name);
      this.around.unwant(name);
      this.around.gaveUp(name, asked.waiting);
    }
    for (const [name, list] of this.#ahead) this.#stopWaiting(name, list, nowMs);
  }

  /** Who waited in vain for an offset is answered with what there is. */
  #stopWaiting(name: string, list: readonly { waiter: W; offset: number; sinceMs: number }[], nowMs: number): void {
    const late = list.filter(({ sinceMs }) => nowMs - sinceMs >= WAIT_MS);
    if (late.length === 0) return;
    const rest = list.filter(({ sinceMs }) => nowMs - sinceMs < WAIT_MS);
    if (rest.length === 0) this.#ahead.delete(name);
    else this.#ahead.set(name, rest);
    const topic = this.#followed.get(name);
    const waiting = late.map(({ waiter }) => waiter);
    if (topic) this.around.arrived(topic, waiting, true);
    else this.around.gaveUp(name, waiting);
  }

  #forget(name: string): void {
    this.#idle.delete(name);
    this.#followed.delete(name);
    this.around.unwant(name);
  }
}
