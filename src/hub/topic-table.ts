/**
 * The topics of the hub and the account of what they remember. Beyond the limit the topics that nobody has followed for a
 * while are forgotten, the longest unused first; where followed ones alone exceed it, histories are shortened, and states that
 * would grow are refused, never dropped. Names that nobody has published to have an account of their own, so that clients
 * cannot push published topics out by asking for names. Hub process only.
 */
import { TopicMemory } from "../topics/memory.js";
import { MemoryBudget } from "../topics/memory-budget.js";
import type { TopicRules } from "../topics/rules.js";
import { type Lru, LruList } from "./lru.js";

/** A linked worker, as the hub needs it. */
export interface Peer {
  write(frame: Buffer): void;
  /** The same for an answer to `follow`, which may be as large as a frame may be. */
  answer(frame: Buffer): void;
  /** Number of its latest `follow` for a topic that it follows. */
  requestOf(topic: string): number;
}

export interface HubTopic extends Lru<HubTopic> {
  readonly name: string;
  /** The second part of its epoch: topics forgotten before its numbering began. */
  epoch: number;
  offset: number;
  /** Created with the first publication that is remembered: a million topics of one user mostly have little. */
  memory: TopicMemory | undefined;
  /** Workers that follow it; undefined while none does. */
  followers: Peer[] | undefined;
  /** When its last follower left; monotonic. */
  unfollowedMs: number;
  /** Number of the log file in which it stands whole. */
  logFile: number;
}

/** Map entry, object and name of one topic, and its list of followers (bench/topic-memory.ts measures it). */
const TOPIC_BYTES = 210;
const costOf = ({ name }: HubTopic): number => TOPIC_BYTES + name.length;

export interface TableLimits {
  /** --topic-memory-bytes; names that nobody has published to may have half as much beside it. */
  readonly memoryBytes: number;
  /** How long a topic is kept after its last follower left. */
  readonly lingerMs: number;
  readonly now: () => number;
  readonly onForgotten: (topic: HubTopic) => void;
}

export class TopicTable {
  readonly #topics = new Map<string, HubTopic>();
  /** Without followers for less than the linger, the first to be over first. */
  readonly #lingering = new LruList<HubTopic>();
  /** Without followers for longer, or never followed: may be forgotten, the longest unused first. */
  readonly #unfollowed = new LruList<HubTopic>();
  readonly #budget = new MemoryBudget();
  /** False until every worker has asked for what it follows: no topic can be told to be unfollowed before. */
  mayForget = false;
  evicted = 0;
  /** Topics that nobody has published to: they are there because somebody follows them. */
  unpublished = 0;
  unpublishedBytes = 0;

  constructor(
    private readonly rules: TopicRules,
    private readonly limits: TableLimits,
  ) {}

  get size(): number {
    return this.#topics.size;
  }

  get memoryBytes(): number {
    return this.#budget.bytes;
  }

  get shortened(): number {
    return this.#budget.shortened;
  }

  /** More is remembered than is allowed, and nothing can be forgotten. */
  get isOver(): boolean {
    return this.#budget.bytes > this.limits.memoryBytes;
  }

  /** Whether one more name that nobody has published to may be followed. */
  get hasRoomForName(): boolean {
    return this.unpublishedBytes < this.limits.memoryBytes / 2;
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

  /** Its first publication: from now on it counts among the published. */
  born(topic: HubTopic): void {
    this.unpublished -= 1;
    this.unpublishedBytes -= costOf(topic);
    this.#budget.bytes += costOf(topic);
    this.used(topic);
  }

  memoryOf(topic: HubTopic): TopicMemory | undefined {
    if (topic.memory) return topic.memory;
    const rule = this.rules.of(topic.name);
    if (rule.historyCount === 0 && rule.stateKeys === 0) return undefined;
    topic.memory = new TopicMemory(rule);
    this.#budget.changed(topic.memory, 0);
    return topic.memory;
  }

  /** What the topic remembers has changed from `before` bytes: keeps the account, and makes room. */
  remembered(memory: TopicMemory, before: number): void {
    this.#budget.changed(memory, before);
    this.trim();
  }

  /** Forgets or shortens what is more than the limit. */
  trim(): void {
    if (this.isOver) this.makeRoom(0);
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
    topic.unfollowedMs = this.limits.now();
    this.#lingering.touch(topic);
  }

  /** Whether `growth` further bytes of state fit, when everything that may go has gone. */
  makeRoom(growth: number): boolean {
    const limit = this.limits.memoryBytes - growth;
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
    const before = this.limits.now() - this.limits.lingerMs;
    for (let first = this.#lingering.oldest; first && first.unfollowedMs <= before; first = this.#lingering.oldest) {
      this.#lingering.remove(first);
      this.#unfollowed.touch(first);
    }
  }

  forget(topic: HubTopic): void {
    this.#drop(topic);
    this.limits.onForgotten(topic);
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
