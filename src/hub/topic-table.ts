/**
 * The topics of the hub, and how much they remember in all. Beyond the limit, topics that nobody has followed for a
 * while are forgotten, the longest unused first; if followed topics alone exceed it, histories are shortened, and states that
 * would grow are refused, never dropped. Names that nobody has published to are counted apart, so that clients cannot
 * evict published topics by subscribing to names of their own. Hub process only.
 */
import { TopicMemory } from "../topics/memory.js";
import { MemoryBudget } from "../topics/memory-budget.js";
import type { TopicRules } from "../topics/rules.js";
import { type Lru, LruList } from "./lru.js";

/** A linked worker, as the hub needs it. */
export interface Peer {
  write(frame: Buffer): void;
  /** As `write`, for an answer to `follow`, which may be as large as the largest frame. */
  answer(frame: Buffer): void;
  /** Number of the worker's latest `follow` for a topic that it follows. */
  requestOf(topic: string): number;
}

export interface HubTopic extends Lru<HubTopic> {
  readonly name: string;
  /** The second part of its epoch: topics forgotten before its numbering began. */
  epoch: number;
  offset: number;
  /** Created with the first publication that is remembered: most of a million topics, one for each user, remember little. */
  memory: TopicMemory | undefined;
  /** Workers that follow it; undefined while none does. */
  followers: Peer[] | undefined;
  /** When its last follower left; monotonic. */
  unfollowedMs: number;
  /** Number of the log file that holds the whole topic. */
  logFile: number;
}

/** Map entry, object and name of one topic, and its list of followers (test/bench/topic-memory.ts measures it). */
const TOPIC_BYTES = 210;
const costOf = ({ name }: HubTopic): number => TOPIC_BYTES + name.length;

export interface TableLimits {
  /** --topic-memory-bytes; names that nobody has published to may have half as much on top of it. */
  readonly memoryBytes: number;
  /** How long a topic is kept after its last follower left. */
  readonly lingerMs: number;
  readonly now: () => number;
  readonly onForgotten: (topic: HubTopic) => void;
}

export class TopicTable {
  readonly #rules: TopicRules;
  readonly #limits: TableLimits;
  readonly #topics = new Map<string, HubTopic>();
  /** Without followers for less than the linger time, the longest first. */
  readonly #lingering = new LruList<HubTopic>();
  /** Without followers for longer, or never followed: these may be forgotten, the longest unused first. */
  readonly #unfollowed = new LruList<HubTopic>();
  readonly #budget = new MemoryBudget();
  /** False until every worker has asked for what it follows: before that, no topic is known to be unfollowed. */
  mayForget = false;
  evicted = 0;
  /** Topics that nobody has published to: they exist because a worker follows them. */
  unpublished = 0;
  unpublishedBytes = 0;

  constructor(rules: TopicRules, limits: TableLimits) {
    this.#rules = rules;
    this.#limits = limits;
  }

  get size(): number {
    return this.#topics.size;
  }

  get memoryBytes(): number {
    return this.#budget.bytes;
  }

  get shortened(): number {
    return this.#budget.shortened;
  }

  /** More is remembered than is allowed. */
  get isOver(): boolean {
    return this.#budget.bytes > this.#limits.memoryBytes;
  }

  /** Whether one more name that nobody has published to may be followed. */
  get acceptsNewNames(): boolean {
    return this.unpublishedBytes < this.#limits.memoryBytes / 2;
  }

  find(name: string): HubTopic | undefined {
    return this.#topics.get(name);
  }

  values(): IterableIterator<HubTopic> {
    return this.#topics.values();
  }

  /** A new topic, with no publication yet. */
  create(name: string, epoch: number): HubTopic {
    const topic: HubTopic = {
      name,
      epoch,
      offset: 0,
      memory: undefined,
      followers: undefined,
      unfollowedMs: 0,
      logFile: 0,
      older: undefined,
      newer: undefined,
      list: undefined,
    };
    this.#topics.set(name, topic);
    this.unpublished += 1;
    this.unpublishedBytes += costOf(topic);
    return topic;
  }

  /** From its first publication on, the topic counts against --topic-memory-bytes. */
  firstPublished(topic: HubTopic): void {
    this.unpublished -= 1;
    this.unpublishedBytes -= costOf(topic);
    this.#budget.bytes += costOf(topic);
    this.used(topic);
  }

  memoryOf(topic: HubTopic): TopicMemory | undefined {
    if (topic.memory) return topic.memory;
    const rule = this.#rules.of(topic.name);
    if (rule.historyCount === 0 && rule.stateKeys === 0) return undefined;
    topic.memory = new TopicMemory(rule);
    this.#budget.changed(topic.memory, 0);
    return topic.memory;
  }

  /** What the topic remembers has changed from `before` bytes: keeps the sum right and the limit. */
  remembered(memory: TopicMemory, before: number): void {
    this.#budget.changed(memory, before);
    this.trim();
  }

  /** Forgets or shortens what exceeds the limit. */
  trim(): void {
    if (this.isOver) this.reclaim(0);
  }

  used(topic: HubTopic): void {
    if (topic.followers === undefined && topic.list !== this.#lingering) this.#unfollowed.touch(topic);
  }

  followed(topic: HubTopic): void {
    topic.list?.remove(topic);
  }

  /** Its last follower left. */
  unfollowed(topic: HubTopic): void {
    if (topic.offset === 0) {
      this.#drop(topic);
      return;
    }
    topic.unfollowedMs = this.#limits.now();
    this.#lingering.touch(topic);
  }

  /** Frees memory for `growth` further bytes of state. False where they do not fit although everything that may go has gone. */
  reclaim(growth: number): boolean {
    const limit = this.#limits.memoryBytes - growth;
    if (this.mayForget) {
      this.#endLingering();
      while (this.#budget.bytes > limit && this.#unfollowed.oldest) {
        this.evicted += 1;
        this.forget(this.#unfollowed.oldest);
      }
    }
    if (this.#budget.bytes > limit) this.#budget.shorten(limit);
    return this.#budget.bytes <= limit;
  }

  #endLingering(): void {
    const before = this.#limits.now() - this.#limits.lingerMs;
    for (let first = this.#lingering.oldest; first && first.unfollowedMs <= before; first = this.#lingering.oldest) {
      this.#lingering.remove(first);
      this.#unfollowed.touch(first);
    }
  }

  forget(topic: HubTopic): void {
    this.#drop(topic);
    this.#limits.onForgotten(topic);
  }

  #drop(topic: HubTopic): void {
    this.#topics.delete(topic.name);
    topic.list?.remove(topic);
    if (topic.memory) this.#budget.removed(topic.memory);
    if (topic.offset > 0) {
      this.#budget.bytes -= costOf(topic);
    } else {
      this.unpublished -= 1;
      this.unpublishedBytes -= costOf(topic);
    }
  }
}
