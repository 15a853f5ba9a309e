/**
 * The topics of one worker: which topics it follows, the position of each, and the subscribers that wait for a topic that the
 * hub has not sent yet. Publications leave through the `publish` callback, requests to the hub through other callbacks, so
 * that this room imports neither sockets nor hub. Worker only.
 *
 * A topic is followed by rules 1 to 7 of src/README.md; test/unit/topics/topics.test.ts tests each one, test/unit/flow.test.ts
 * all together.
 */
import { monotonicMs } from "../clock.js";
import { AheadQueue, type AheadWaiter } from "./ahead.js";
import { type Cursor, Journal } from "./journal.js";
import { type Remembered, type StateEntry, TopicMemory } from "./memory.js";
import { MemoryBudget } from "./memory-budget.js";
import type { Position, Publication } from "./publication.js";
import type { SlowPolicy, TopicRules } from "./rules.js";

/** A replica: this worker's copy of a topic. */
export interface Topic {
  readonly name: string;
  epoch: string;
  /** Offset of the last publication that was delivered on this worker; 0 before the first. */
  offset: number;
  readonly memory: TopicMemory;
  readonly slowReaders: SlowPolicy;
  /** Sums of everything delivered on this worker, over all epochs: their differences count what a slow reader missed. */
  delivered: { messages: number; bytes: number };
  /** Number of the latest `follow` for the topic. */
  request: number;
}

/** The hub's answer to `follow`. Without `state` it is only what came after the position that this worker sent. */
export interface SyncContent extends Position {
  readonly request: number;
  readonly history: readonly Remembered[];
  readonly state?: readonly StateEntry[] | undefined;
}

/** The hub did not answer in time, or refused the topic: it serves no further names that nobody has published to. */
export type FollowFailure = "timeout" | "refused";

/** `W` is a waiting subscriber, opaque to this room. */
export interface TopicsDeps<W> {
  follow(topic: string, request: number, position?: Position): void;
  unfollow(topic: string): void;
  /** All topics have been asked for on the new link. */
  relinked(): void;
  /** Asks the hub which of these it does not serve. */
  compare(topics: readonly string[]): void;
  /** Sends to every native subscriber of the topic. */
  publish(topic: string, message: Uint8Array): void;
  /** How many sockets of this worker follow the topic, natively or parked. */
  subscribers(topic: string): number;
  /**
   * The topic has arrived, or has reached the offset that these wait for; `timedOut`: has not reached it in time. They must
   * be answered and subscribed now.
   */
  ready(topic: Topic, waiting: readonly W[], timedOut: boolean): void;
  /** The topic was replaced as a whole; its subscribers must be sent the new state. */
  reset(topic: Topic): void;
  /** The topic could not be followed; these must be refused. */
  failed(topic: string, waiting: readonly W[], why: FollowFailure): void;
}

export interface TopicsLimits {
  /** How long a topic is followed after its last subscriber left. */
  readonly lingerMs: number;
  /** Maximum number of topics without subscribers that stay followed; checked once a second. */
  readonly maxIdle: number;
  /** Bytes that all replicas may remember before the longest histories are shortened. */
  readonly memoryBytes: number;
}

export interface TopicsOptions<W> {
  readonly deps: TopicsDeps<W>;
  readonly rules: TopicRules;
  readonly limits: TopicsLimits;
}

/** The cursor of a subscriber that got everything. */
export const cursorOf = ({ epoch, offset, delivered }: Topic): Cursor => ({ epoch, offset, ...delivered });

/** A topic that the hub was asked for and has not sent yet. */
interface PendingTopic<W> {
  readonly waiting: W[];
  readonly sinceMs: number;
  request: number;
}

/** How long a subscriber waits for a hub that does not answer. */
export const WAIT_MS = 10_000;
/**
 * Publications by which another worker can be ahead of this one: as many as the pipe and its queue hold (16 MiB by default,
 * at least 48 bytes each), and more for a larger queue. A client that claims more is mistaken.
 */
export const MAX_AHEAD = 1_000_000;
/** Seconds in which every followed topic is compared with the hub once. */
const COMPARE_SECONDS = 60;
const NAMES_A_FRAME = 1000;

export class Topics<W> {
  readonly journal = new Journal();
  readonly #deps: TopicsDeps<W>;
  readonly #rules: TopicRules;
  readonly #limits: TopicsLimits;
  readonly #followed = new Map<string, Topic>();
  readonly #pending = new Map<string, PendingTopic<W>>();
  /** Topics whose last subscriber left, and when. */
  readonly #idle = new Map<string, number>();
  /** Subscribers that wait for an offset which this worker has not reached. */
  readonly #ahead = new Map<string, AheadQueue<W>>();
  readonly #budget = new MemoryBudget();
  #requests = 0;
  /** All topics have been asked for on the present link; before that, the hub does not know what this worker follows. */
  #isLinked = false;
  /** Where the comparison with the hub goes on. */
  #comparing: Iterator<string> | undefined;
  /** Answers to requests that were not the latest of their topic. */
  staleSyncs = 0;
  /** Topics that this worker followed and the hub did not serve. */
  unserved = 0;

  constructor({ deps, rules, limits }: TopicsOptions<W>) {
    this.#deps = deps;
    this.#rules = rules;
    this.#limits = limits;
  }

  get size(): number {
    return this.#followed.size;
  }

  get memoryBytes(): number {
    return this.#budget.bytes;
  }

  /** Subscribers that wait for a topic or an offset. */
  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.#pending.values()) sum += waiting.length;
    for (const { size } of this.#ahead.values()) sum += size;
    return sum;
  }

  /** How many sockets of this worker follow the topic. */
  subscribers(name: string): number {
    return this.#deps.subscribers(name);
  }

  /** The replica, if this worker follows the topic. */
  find(name: string): Topic | undefined {
    return this.#followed.get(name);
  }

  /** A subscriber waits for a topic; the first one makes the worker ask the hub. */
  wait(name: string, waiter: W, nowMs: number): void {
    const pending = this.#pending.get(name);
    if (pending) {
      pending.waiting.push(waiter);
      return;
    }
    this.#pending.set(name, { waiting: [waiter], sinceMs: nowMs, request: ++this.#requests });
    this.#deps.follow(name, this.#requests);
  }

  /** A subscriber has seen an offset that is ahead of this replica, and waits until the replica has reached it. */
  waitFor(topic: Topic, entry: AheadWaiter<W>): void {
    const queue = this.#ahead.get(topic.name) ?? new AheadQueue<W>();
    this.#ahead.set(topic.name, queue);
    queue.add(entry);
  }

  /** Removes waiters that gave up; the topic stays asked for. */
  removeWaiters(name: string, isGone: (waiter: W) => boolean): void {
    const { waiting = [] } = this.#pending.get(name) ?? {};
    // In place: topicSync may hold the same list while it installs the hub's answer.
    let kept = 0;
    for (const waiter of waiting) if (!isGone(waiter)) waiting[kept++] = waiter;
    waiting.length = kept;
    const ahead = this.#ahead.get(name);
    ahead?.takeIf(({ waiter }) => isGone(waiter));
    if (ahead?.size === 0) this.#ahead.delete(name);
  }

  /**
   * The hub's answer: installs the topic, or brings it up to date after a broken link. Yields after each missed publication,
   * because uWebSockets cannot take many in one turn (src/README.md fact 9).
   */
  *topicSync(name: string, content: SyncContent): Generator<void> {
    const known = this.#followed.get(name);
    const pending = this.#pending.get(name);
    if ((known ?? pending)?.request !== content.request) {
      this.staleSyncs += 1;
      return;
    }
    if (known && content.state === undefined && known.epoch === content.epoch) {
      for (const { offset, push, atMs, key } of content.history) {
        this.#pass(known, { topic: name, offset, key, push }, atMs);
        yield;
        // The topic may have been forgotten or asked for again between two steps.
        if (this.#followed.get(name) !== known || known.request !== content.request) return;
      }
    } else if (content.state === undefined) {
      this.#askAgain(name, known, pending);
      return;
    } else {
      this.#install(name, known, content);
    }
    const topic = this.#followed.get(name)!;
    this.#pending.delete(name);
    if (pending) this.#deps.ready(topic, pending.waiting, false);
    if (this.#deps.subscribers(name) === 0) this.#idle.set(name, 0);
  }

  /** The answer cannot be installed: asks for the whole topic. */
  #askAgain(name: string, known: Topic | undefined, pending: PendingTopic<W> | undefined): void {
    this.staleSyncs += 1;
    this.#requests += 1;
    if (known) known.request = this.#requests;
    if (pending) pending.request = this.#requests;
    this.#deps.follow(name, this.#requests);
  }

  #install(name: string, known: Topic | undefined, { epoch, offset, history, state, request }: SyncContent): void {
    const topic = known ?? this.#create(name, epoch, request);
    topic.epoch = epoch;
    topic.offset = offset;
    const before = topic.memory.bytes;
    topic.memory.restore(history, state ?? []);
    this.#memoryChanged(topic.memory, before);
    this.#followed.set(name, topic);
    // Publications were missed that are no longer remembered: a reset says so to every subscriber.
    if (!known) return;
    this.#deps.reset(topic);
    // Subscribers that wait for an offset of the old numbering are decided on again.
    const ahead = this.#ahead.get(name);
    this.#ahead.delete(name);
    if (ahead) this.#deps.ready(topic, ahead.takeReached(Infinity), false);
  }

  #create(name: string, epoch: string, request: number): Topic {
    const rule = this.#rules.of(name);
    const memory = new TopicMemory(rule);
    const delivered = { messages: 0, bytes: 0 };
    this.#budget.changed(memory, 0);
    return { name, epoch, offset: 0, memory, slowReaders: rule.slowReaders, delivered, request };
  }

  /** Keeps the budget of all replicas; `before` are the bytes that the memory had. */
  #memoryChanged(memory: TopicMemory, before: number): void {
    this.#budget.changed(memory, before);
    if (this.#budget.bytes > this.#limits.memoryBytes) this.#budget.shorten(this.#limits.memoryBytes);
  }

  /** Delivers one publication to every subscriber. The hot path: nothing here runs per subscriber. */
  deliver(publication: Publication): void {
    const topic = this.#followed.get(publication.topic);
    // Not followed: the hub sent it before it read our `unfollow`, or before the answer that this worker waits for.
    if (!topic) return;
    // Copied: the received bytes are a view of a whole received chunk, which they would keep in memory.
    const kept = topic.memory.keepsHistory ? { ...publication, push: Buffer.from(publication.push) } : publication;
    this.#pass(topic, kept, monotonicMs());
  }

  #pass(topic: Topic, publication: Publication, atMs: number): void {
    // At or below our offset: the hub sent it twice, before and after a resync.
    if (publication.offset <= topic.offset) return;
    this.journal.record(topic.name, cursorOf(topic));
    topic.offset = publication.offset;
    topic.delivered.messages += 1;
    topic.delivered.bytes += publication.push.length;
    const before = topic.memory.bytes;
    topic.memory.add(publication, atMs);
    this.#memoryChanged(topic.memory, before);
    this.#deps.publish(topic.name, publication.push);
    if (this.#ahead.size > 0) this.#caughtUp(topic);
  }

  #caughtUp(topic: Topic): void {
    const queue = this.#ahead.get(topic.name);
    if (!queue) return;
    const ready = queue.takeReached(topic.offset);
    if (queue.size === 0) this.#ahead.delete(topic.name);
    if (ready.length > 0) this.#deps.ready(topic, ready, false);
  }

  /** The last subscriber of a topic left. */
  emptied(name: string, nowMs: number): void {
    if (!this.#followed.has(name)) return;
    // Deleted first, so that the map stays ordered by age.
    this.#idle.delete(name);
    this.#idle.set(name, nowMs);
  }

  /** The hub refuses the topic: it serves no further names that nobody has published to. */
  followRefused(name: string, request: number): void {
    const pending = this.#pending.get(name);
    if (pending?.request !== request) return;
    this.#pending.delete(name);
    this.#deps.failed(name, pending.waiting, "refused");
  }

  /** The link to the hub is new: asks again for everything that this worker follows or waits for. */
  relink(): void {
    for (const topic of this.#followed.values()) this.#follow(topic);
    for (const [name, pending] of this.#pending) {
      pending.request = ++this.#requests;
      this.#deps.follow(name, pending.request);
    }
    this.#deps.relinked();
    this.#isLinked = true;
  }

  /** The link to the hub is gone. */
  unlink(): void {
    this.#isLinked = false;
  }

  #follow(topic: Topic): void {
    topic.request = ++this.#requests;
    this.#deps.follow(topic.name, topic.request, topic);
  }

  /** The hub does not serve these although this worker follows them: their subscribers got no pushes. */
  notServed(names: readonly string[]): void {
    for (const name of names) {
      const topic = this.#followed.get(name);
      if (!topic) continue;
      this.unserved += 1;
      this.#follow(topic);
    }
  }

  /** Once a second: forgets topics without subscribers, refuses waiters that waited too long, compares with the hub. */
  sweep(nowMs: number): void {
    this.#sweepIdle(nowMs);
    for (const [name, pending] of this.#pending) {
      if (nowMs - pending.sinceMs < WAIT_MS) continue;
      this.#pending.delete(name);
      this.#deps.unfollow(name);
      this.#deps.failed(name, pending.waiting, "timeout");
    }
    for (const [name, queue] of this.#ahead) this.#timeOut(name, queue, nowMs);
    this.#compareSome();
  }

  #sweepIdle(nowMs: number): void {
    for (const [name, sinceMs] of this.#idle) {
      if (this.#deps.subscribers(name) > 0) this.#idle.delete(name);
      else if (sinceMs === 0) this.#idle.set(name, nowMs);
      else if (nowMs - sinceMs >= this.#limits.lingerMs) this.#forget(name);
    }
    for (const name of this.#idle.keys()) {
      if (this.#idle.size <= this.#limits.maxIdle) break;
      this.#forget(name);
    }
  }

  /** Subscribers whose offset was not reached in time are answered from the replica as it is. */
  #timeOut(name: string, queue: AheadQueue<W>, nowMs: number): void {
    const late = queue.takeIf(({ sinceMs }) => nowMs - sinceMs >= WAIT_MS);
    if (queue.size === 0) this.#ahead.delete(name);
    if (late.length === 0) return;
    const topic = this.#followed.get(name);
    if (topic) this.#deps.ready(topic, late, true);
    else this.#deps.failed(name, late, "timeout");
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
      if (names.length > 0) this.#deps.compare(names);
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
    this.#deps.unfollow(name);
  }
}
