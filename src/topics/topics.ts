/**
 * The meeting point, in each worker: which topics are followed here, where each one's numbering stands, and who waits
 * for a topic that the hub has not described yet. Delivery goes out through a given `publish`; interest goes back to the
 * hub through given callbacks, so that this room imports neither sockets nor hub.
 *
 * How a topic is followed (each rule has its test in test/unit/topics/topics.test.ts, all together in test/unit/flow.test.ts):
 *  1. A worker asks for a topic with `follow` and a number that rises with each request; the answer repeats the number.
 *  2. Only the answer to the latest request for a topic is installed; any other is counted and dropped.
 *  3. The hub answers on a first-in, first-out pipe and sends publications of the topic only after its answer: so the worker
 *     installs the topic, answers its waiting subscribers and subscribes their sockets in one tick. No gap, no duplicate, no lock.
 *  4. A worker that has the topic asks with its position. The answer holds what followed it, or the whole topic with its
 *     state; subscribers are told of the latter by a reset. An answer without state is never taken for a whole topic.
 *  5. `unfollow` is sent when a topic is forgotten here, or is given up before an answer came: later answers are void by 2.
 *  6. On a new link everything that is followed or waited for is asked for again, and then `relinked` says so.
 *  7. Once a minute each followed topic is compared with what the hub serves; one that it does not serve is counted and asked
 *     for again, so that no subscriber is deaf for good, whatever fault we did not think of.
 */
import { monotonicMs } from "../clock.js";
import { AheadQueue } from "./ahead.js";
import { Journal, type Place } from "./journal.js";
import { type Remembered, type StateEntry, TopicMemory } from "./memory.js";
import { MemoryBudget } from "./memory-budget.js";
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
  /** Number of the latest `follow` for it. */
  request: number;
}

/** What the hub says of a topic. Without `state` it is only what follows the position that this worker had. */
export interface Image extends Position {
  readonly request: number;
  readonly history: readonly Remembered[];
  readonly state?: readonly StateEntry[] | undefined;
}

/** Why a topic could not be had: the hub did not answer in time, or it serves no further unpublished names. */
export type FollowFailure = "timeout" | "refused";

/** What the worker lends to this room. `W` is a waiting subscriber, opaque here. */
export interface TopicsDeps<W> {
  follow(topic: string, request: number, position?: Position): void;
  unfollow(topic: string): void;
  /** Everything has been asked for on the new link. */
  relinked(): void;
  /** Asks which of these the hub does not serve. */
  compare(topics: readonly string[]): void;
  /** Sends to every native subscriber of the topic. */
  publish(topic: string, message: Uint8Array): void;
  /** How many native subscribers the topic has on this worker. */
  subscribers(topic: string): number;
  /** The topic is here, or has come to the offset that they wait for (or has not, in time): subscribe and answer these. */
  ready(topic: Topic, waiting: readonly W[], timedOut: boolean): void;
  /** Everything that this worker knew of the topic is void; its subscribers must be told what holds now. */
  reset(topic: Topic): void;
  /** The topic cannot be had now: tell these. */
  failed(topic: string, waiting: readonly W[], why: FollowFailure): void;
}

export interface TopicsLimits {
  /** How long a topic is followed after its last subscriber left. */
  readonly lingerMs: number;
  /** Topics without subscribers that are followed at most, looked at once a second. */
  readonly maxIdle: number;
  /** What replicas may remember in all before the longest histories are shortened. */
  readonly memoryBytes: number;
}

/** Where a subscriber stands who has got everything. */
export const placeOf = ({ epoch, offset, delivered }: Topic): Place => ({ epoch, offset, ...delivered });

interface Asked<W> {
  readonly waiting: W[];
  readonly sinceMs: number;
  request: number;
}

/** How long a subscriber waits for a hub that does not answer. */
export const WAIT_MS = 10_000;
/**
 * Publications by which another worker can be ahead of this one: what fits into the pipe and its queue (16 MiB by default, at
 * least 48 bytes each), with room for a larger queue. A client that claims more is mistaken.
 */
export const MAX_AHEAD = 1_000_000;
/** Seconds in which every followed topic is compared with the hub once. */
const COMPARE_SECONDS = 60;
const NAMES_A_FRAME = 1000;

export class Topics<W> {
  readonly journal = new Journal();
  readonly #followed = new Map<string, Topic>();
  readonly #asked = new Map<string, Asked<W>>();
  /** Topics whose last subscriber left, and when. */
  readonly #idle = new Map<string, number>();
  /** Subscribers that know a later offset than this worker yet does. */
  readonly #ahead = new Map<string, AheadQueue<W>>();
  readonly #budget = new MemoryBudget();
  #requests = 0;
  /** Everything has been asked for on the present link: before, the hub cannot know what is followed here. */
  #isLinked = false;
  /** Where the comparison with the hub goes on. */
  #comparing: Iterator<string> | undefined;
  /** Answers that came too late for their request. */
  staleSyncs = 0;
  /** Topics that were followed here and not served by the hub. */
  unserved = 0;

  constructor(
    private readonly deps: TopicsDeps<W>,
    private readonly rules: TopicRules,
    private readonly limits: TopicsLimits,
  ) {}

  get size(): number {
    return this.#followed.size;
  }

  get memoryBytes(): number {
    return this.#budget.bytes;
  }

  /** Subscribers that wait for a topic or an offset. */
  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.#asked.values()) sum += waiting.length;
    for (const { size } of this.#ahead.values()) sum += size;
    return sum;
  }

  /** How many sockets of this worker follow the topic. */
  subscribers(name: string): number {
    return this.deps.subscribers(name);
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
    this.#asked.set(name, { waiting: [waiter], sinceMs: nowMs, request: ++this.#requests });
    this.deps.follow(name, this.#requests);
  }

  /** A subscriber has seen `offset`, which is ahead of this replica: it is ready when the replica has come so far. */
  waitFor(topic: Topic, offset: number, waiter: W, nowMs: number): void {
    const queue = this.#ahead.get(topic.name) ?? new AheadQueue<W>();
    this.#ahead.set(topic.name, queue);
    queue.add({ waiter, offset, sinceMs: nowMs });
  }

  /** Waiters that have given up by themselves; the topic stays asked for. */
  removeWaiters(name: string, isGone: (waiter: W) => boolean): void {
    const { waiting = [] } = this.#asked.get(name) ?? {};
    // In place: an answer of the hub that is being installed holds the same list.
    let kept = 0;
    for (const waiter of waiting) if (!isGone(waiter)) waiting[kept++] = waiter;
    waiting.length = kept;
    const ahead = this.#ahead.get(name);
    ahead?.takeIf(({ waiter }) => isGone(waiter));
    if (ahead?.size === 0) this.#ahead.delete(name);
  }

  /**
   * The hub's answer: installs the topic, or brings it up to date after a broken link. Yields after each publication that
   * was missed, because the edge cannot take many in one turn.
   */
  *topicSync(name: string, image: Image): Generator<void> {
    const known = this.#followed.get(name);
    const asked = this.#asked.get(name);
    if ((known ?? asked)?.request !== image.request) {
      this.staleSyncs += 1;
      return;
    }
    if (known && image.state === undefined && known.epoch === image.epoch) {
      for (const { offset, push, atMs, key } of image.history) {
        this.#pass(known, { topic: name, offset, key, push }, atMs);
        yield;
        // Forgotten, or asked for again, between two steps.
        if (this.#followed.get(name) !== known || known.request !== image.request) return;
      }
    } else if (image.state === undefined) {
      this.#askAgain(name, known, asked);
      return;
    } else {
      this.#install(name, known, image);
    }
    const topic = this.#followed.get(name)!;
    this.#asked.delete(name);
    if (asked) this.deps.ready(topic, asked.waiting, false);
    if (this.deps.subscribers(name) === 0) this.#idle.set(name, 0);
  }

  /** What came cannot be installed: the whole topic is asked for. */
  #askAgain(name: string, known: Topic | undefined, asked: Asked<W> | undefined): void {
    this.staleSyncs += 1;
    this.#requests += 1;
    if (known) known.request = this.#requests;
    if (asked) asked.request = this.#requests;
    this.deps.follow(name, this.#requests);
  }

  #install(name: string, known: Topic | undefined, { epoch, offset, history, state, request }: Image): void {
    const topic = known ?? this.#create(name, epoch, request);
    topic.epoch = epoch;
    topic.offset = offset;
    const before = topic.memory.bytes;
    topic.memory.restore(history, state ?? []);
    this.#remembered(topic.memory, before);
    this.#followed.set(name, topic);
    // Publications were missed beyond what anybody remembers: said to everybody, never skipped quietly.
    if (!known) return;
    this.deps.reset(topic);
    // Subscribers that wait for an offset of the old numbering are judged again.
    const ahead = this.#ahead.get(name);
    this.#ahead.delete(name);
    if (ahead) this.deps.ready(topic, ahead.reached(Infinity), false);
  }

  #create(name: string, epoch: string, request: number): Topic {
    const rule = this.rules.of(name);
    const memory = new TopicMemory(rule);
    const delivered = { messages: 0, bytes: 0 };
    this.#budget.changed(memory, 0);
    return { name, epoch, offset: 0, memory, slowReaders: rule.slowReaders, delivered, request };
  }

  #remembered(memory: TopicMemory, before: number): void {
    this.#budget.changed(memory, before);
    if (this.#budget.bytes > this.limits.memoryBytes) this.#budget.shorten(this.limits.memoryBytes);
  }

  /** Hands one publication to every subscriber. The hot path: nothing here is done for each subscriber. */
  deliver(publication: Publication): void {
    const topic = this.#followed.get(publication.topic);
    // Not followed: the hub sent it before it read our `unfollow`, or before the answer that we wait for.
    if (!topic) return;
    // Copied: the received bytes are a view of a whole chunk, which would be kept with them.
    const kept = topic.memory.keepsHistory ? { ...publication, push: Buffer.from(publication.push) } : publication;
    this.#pass(topic, kept, monotonicMs());
  }

  #pass(topic: Topic, publication: Publication, atMs: number): void {
    // At or below our offset: sent twice around a resync.
    if (publication.offset <= topic.offset) return;
    this.journal.record(topic.name, placeOf(topic));
    topic.offset = publication.offset;
    topic.delivered.messages += 1;
    topic.delivered.bytes += publication.push.length;
    const before = topic.memory.bytes;
    topic.memory.add(publication, atMs);
    this.#remembered(topic.memory, before);
    this.deps.publish(topic.name, publication.push);
    if (this.#ahead.size > 0) this.#caughtUp(topic);
  }

  #caughtUp(topic: Topic): void {
    const queue = this.#ahead.get(topic.name);
    if (!queue) return;
    const ready = queue.reached(topic.offset);
    if (queue.size === 0) this.#ahead.delete(topic.name);
    if (ready.length > 0) this.deps.ready(topic, ready, false);
  }

  /** The last native subscriber of a topic left. */
  emptied(name: string, nowMs: number): void {
    if (!this.#followed.has(name)) return;
    // Deleted first, so that the order stays that of age.
    this.#idle.delete(name);
    this.#idle.set(name, nowMs);
  }

  /** The hub serves no further name that nobody has published to. */
  followRefused(name: string, request: number): void {
    const asked = this.#asked.get(name);
    if (asked?.request !== request) return;
    this.#asked.delete(name);
    this.deps.failed(name, asked.waiting, "refused");
  }

  /** The link to the hub is new: asks again for everything that is followed or waited for. */
  relink(): void {
    for (const topic of this.#followed.values()) this.#follow(topic);
    for (const [name, asked] of this.#asked) {
      asked.request = ++this.#requests;
      this.deps.follow(name, asked.request);
    }
    this.deps.relinked();
    this.#isLinked = true;
  }

  /** The link to the hub is gone. */
  unlink(): void {
    this.#isLinked = false;
  }

  #follow(topic: Topic): void {
    topic.request = ++this.#requests;
    this.deps.follow(topic.name, topic.request, topic);
  }

  /** The hub does not serve these, though they are followed here: their subscribers were deaf. */
  notServed(names: readonly string[]): void {
    for (const name of names) {
      const topic = this.#followed.get(name);
      if (!topic) continue;
      this.unserved += 1;
      this.#follow(topic);
    }
  }

  /** Once a second: forgets topics that nobody wants any more, tells waiters that waited too long, compares with the hub. */
  sweep(nowMs: number): void {
    this.#sweepIdle(nowMs);
    for (const [name, asked] of this.#asked) {
      if (nowMs - asked.sinceMs < WAIT_MS) continue;
      this.#asked.delete(name);
      this.deps.unfollow(name);
      this.deps.failed(name, asked.waiting, "timeout");
    }
    for (const [name, queue] of this.#ahead) this.#timeOut(name, queue, nowMs);
    this.#compareSome();
  }

  #sweepIdle(nowMs: number): void {
    for (const [name, sinceMs] of this.#idle) {
      if (this.deps.subscribers(name) > 0) this.#idle.delete(name);
      else if (sinceMs === 0) this.#idle.set(name, nowMs);
      else if (nowMs - sinceMs >= this.limits.lingerMs) this.#forget(name);
    }
    for (const name of this.#idle.keys()) {
      if (this.#idle.size <= this.limits.maxIdle) break;
      this.#forget(name);
    }
  }

  /** Subscribers whose offset did not come in time are answered with what there is. */
  #timeOut(name: string, queue: AheadQueue<W>, nowMs: number): void {
    const late = queue.takeIf(({ sinceMs }) => nowMs - sinceMs >= WAIT_MS);
    if (queue.size === 0) this.#ahead.delete(name);
    if (late.length === 0) return;
    const topic = this.#followed.get(name);
    if (topic) this.deps.ready(topic, late, true);
    else this.deps.failed(name, late, "timeout");
  }

  #compareSome(): void {
    let left = this.#isLinked ? Math.ceil(this.#followed.size / COMPARE_SECONDS) : 0;
    while (left > 0) {
      const names: string[] = [];
      this.#comparing ??= this.#followed.keys();
      while (names.length < Math.min(left, NAMES_A_FRAME)) {
        const next = this.#comparing.next();
        if (next.done === true) break;
        names.push(next.value);
      }
      if (names.length > 0) this.deps.compare(names);
      left -= names.length;
      if (names.length < NAMES_A_FRAME && left > 0) {
        this.#comparing = undefined;
        return;
      }
    }
  }

  #forget(name: string): void {
    const topic = this.#followed.get(name);
    this.#idle.delete(name);
    this.#followed.delete(name);
    if (topic) this.#budget.removed(topic.memory);
    this.deps.unfollow(name);
  }
}
