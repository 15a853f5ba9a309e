/**
 * Numbers every publication, remembers what the topic's rule asks for, and sends it to the workers that follow the topic.
 * One per gateway, in the hub process. A topic's `epoch` names one run of numbering, its `offset` rises by one with each
 * publication. Every change is in the log before it is visible outside (wal/); restore.ts makes the same changes from the
 * log. A linked worker is a narrow interface here (`Peer`); the acceptor bounds its queue.
 */
import { GatewayError } from "../errors.js";
import type { StateEntry } from "../topics/memory.js";
import type { Position } from "../topics/publication.js";
import type { TopicRules } from "../topics/rules.js";
import { newestThatFit, stateLimit } from "./frame-budget.js";
import { IDEMPOTENCY_AGE_MS, nameOf, RecentIds } from "./recent-ids.js";
import { pageOf, type StatePage } from "./state-page.js";
import { type HubTopic, type Peer, TopicTable } from "./topic-table.js";
import type { FramedPublication, WalImage, WalRecord } from "./wal/records.js";
import { encode, encodeNew, encodePublication, type Follow, MAX_FRAME_BYTES, type TopicImage, toWire } from "./wire.js";

/** One message to publish. `data`: JSON text; "null" with a key deletes that key. `id`: idempotency key. */
export interface Draft {
  readonly topic: string;
  readonly data: string;
  readonly key?: string | undefined;
  readonly id?: string | undefined;
}

export interface Published extends Position {
  readonly topic: string;
  /** The id is known: this is the position of its first publication. */
  readonly duplicate?: true;
}

/** What became of a list of messages. */
export interface Batch {
  /** Of the messages before the first that was refused; of all where none was. */
  readonly results: readonly Published[];
  /** Why that one was refused. */
  readonly error?: GatewayError;
}

export interface Description extends Position {
  readonly topic: string;
  readonly history: { count: number; bytes: number };
  /** Computed when it is read: it may be large. */
  readonly state: readonly StateEntry[];
}

/** As `Description`, with the size of the state in place of its entries. */
export interface TopicSize extends Position {
  readonly topic: string;
  readonly history: { readonly count: number; readonly bytes: number };
  readonly state: { readonly keys: number; readonly bytes: number };
}

/** Where changes are recorded (wal/wal.ts). */
export interface HubLog {
  /** Number of the file in use. */
  readonly sequence: number;
  record(record: WalRecord): void;
  /** As `record`, for the hot path. */
  publication(publication: FramedPublication): void;
}

export interface HubOptions {
  readonly rules: TopicRules;
  /** First part of every epoch. */
  readonly generation: string;
  readonly memoryBytes: number;
  readonly lingerMs: number;
  readonly idempotencyBytes: number;
  /** Largest frame that a worker accepts. */
  readonly frameBytes?: number;
  /** Monotonic, ms. */
  readonly now: () => number;
}

const NO_LOG: HubLog = { sequence: 0, record: () => undefined, publication: () => undefined };
const IDS_A_RECORD = 500;
const NO_PUSH = Buffer.alloc(0);

export class Hub {
  readonly table: TopicTable;
  readonly ids: RecentIds;
  /** Set when everything in the log has been restored. */
  log: HubLog = NO_LOG;
  generation: string;
  /** Epochs given out so far: the second part of the next one. */
  epochCount = 0;
  /** False while the workers link again after a restart of the hub: publications are refused, not half done. */
  open = true;
  publications = 0;
  publicationBytes = 0;
  /** States that could not grow because followed topics fill --topic-memory-bytes. */
  statesRefused = 0;
  /** Times that a worker claimed a later offset than was given out. A fault of Megagate: it should stay 0. */
  aheadClaims = 0;
  /** Monotonic, ms. */
  readonly now: () => number;
  readonly #frameBytes: number;
  #lastEpoch = { count: -1, text: "" };

  constructor(options: HubOptions) {
    const { rules, memoryBytes, lingerMs, idempotencyBytes, now, generation } = options;
    this.generation = generation;
    this.#frameBytes = options.frameBytes ?? MAX_FRAME_BYTES;
    this.now = now;
    this.ids = new RecentIds({ bytes: idempotencyBytes, ageMs: IDEMPOTENCY_AGE_MS });
    const onForgotten = (topic: HubTopic): void => {
      this.epochCount += 1;
      this.log.record({ type: "forget", topic: topic.name });
    };
    this.table = new TopicTable(rules, { memoryBytes, lingerMs, now, onForgotten });
  }

  get topics(): number {
    return this.table.size;
  }

  /** Publishes the messages in their order, until one is refused. */
  publishAll(drafts: readonly Draft[]): Batch {
    const results: Published[] = [];
    try {
      for (const draft of drafts) results.push(this.publish(draft));
    } catch (error) {
      if (error instanceof GatewayError) return { results, error };
      throw error;
    }
    return { results };
  }

  /** Numbers a message, records it, sends it to the workers and remembers it. Throws GatewayError: hubUnavailable, stateFull. */
  publish({ topic: name, data, key, id }: Draft): Published {
    if (!this.open) {
      const detail = "the hub was restarted and its workers are linking again; publish again in a second";
      throw new GatewayError("hubUnavailable", detail);
    }
    const nowMs = this.now();
    const known = id === undefined ? undefined : this.ids.find(name, id, nowMs);
    if (known) return { topic: name, epoch: known.epoch, offset: known.offset, duplicate: true };
    const topic = this.table.find(name) ?? this.table.create(name, this.epochCount);
    const memory = this.table.memoryOf(topic);
    if (memory && key !== undefined) {
      this.#checkState(topic, key, data);
      // Memory for its new state was freed by evicting this very topic: begin with a new one.
      if (this.table.find(name) !== topic) return this.publish({ topic: name, data, key, id });
    }
    topic.offset += 1;
    if (topic.offset === 1) this.#firstPublished(topic);
    else this.table.used(topic);
    const epoch = this.epochOf(topic);
    const { frame, push } = encodeNew({ topic: name, offset: topic.offset, key, data });
    const publication = { topic: name, offset: topic.offset, key, push };
    const recorded = memory ? frame : encodePublication({ ...publication, push: NO_PUSH });
    this.log.publication({ epoch: topic.epoch, frame: recorded, id });
    if (id !== undefined)
      this.ids.remember({ name: nameOf(name, id), epoch, offset: topic.offset, atMs: nowMs }, nowMs);
    this.publications += 1;
    this.publicationBytes += push.length;
    if (topic.followers) for (const peer of topic.followers) peer.write(frame);
    if (memory) {
      const before = memory.bytes;
      memory.add(publication, nowMs);
      this.table.remembered(memory, before);
    } else {
      this.table.trim();
    }
    return { topic: name, epoch, offset: topic.offset };
  }

  #firstPublished(topic: HubTopic): void {
    topic.logFile = this.log.sequence;
    this.table.firstPublished(topic);
  }

  /** Throws stateFull where the new state would fit neither into a frame to a worker nor into memory. */
  #checkState(topic: HubTopic, key: string, data: string): void {
    const { name } = topic;
    const memory = topic.memory!;
    const refuse = (detail: string): never => {
      // It was created for this publication.
      if (topic.offset === 0 && topic.followers === undefined) this.table.unfollowed(topic);
      throw new GatewayError("stateFull", detail);
    };
    if (!memory.accepts(key, data))
      refuse(`topic ${name} has as many keys as its rule allows; raise --state-keys or delete some`);
    const max = stateLimit(this.#frameBytes);
    if (data !== "null" && memory.stateSizeWith(key, data) > max) {
      refuse(
        `topic ${name}: its state may have ${max} characters, a quarter of --hub-queue-bytes (of 64 MiB at most); raise that, delete keys, or spread them over topics`,
      );
    }
    const growth = memory.stateGrowth(key, data);
    if (growth <= 0 || this.table.reclaim(growth)) return;
    this.statesRefused += 1;
    refuse(
      `topic ${name}: followed topics fill --topic-memory-bytes, and their states are never dropped; raise it, or delete keys`,
    );
  }

  /** A worker follows a topic: it gets the topic as it stands, and then every publication after that. */
  follow(peer: Peer, { topic: name, request, epoch, offset }: Follow): void {
    const has = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
    let topic = this.table.find(name);
    if (!topic) {
      // A worker with a position followed it before.
      if (!this.table.acceptsNewNames && has === undefined) {
        peer.answer(encode({ type: "followRefused", topic: name, request }));
        return;
      }
      topic = this.table.create(name, this.epochCount);
    }
    this.table.followed(topic);
    // A literal of one element: `push` to an empty array reserves space for 17.
    if (topic.followers === undefined) topic.followers = [peer];
    else if (!topic.followers.includes(peer)) topic.followers.push(peer);
    if (has && has.epoch === this.epochOf(topic) && has.offset > topic.offset) this.#renumber(topic);
    else peer.answer(encode({ type: "topicSync", request, ...this.#image(topic, has) }));
  }

  /** A worker has publications that this hub does not know: their offsets are used up, so every follower gets a new epoch. */
  #renumber(topic: HubTopic): void {
    this.aheadClaims += 1;
    this.#beginAgain(topic);
    this.log.record({ type: "forget", topic: topic.name });
    this.log.record({ type: "image", image: this.imageOf(topic) });
    for (const peer of topic.followers ?? []) {
      peer.answer(encode({ type: "topicSync", request: peer.requestOf(topic.name), ...this.#image(topic) }));
    }
  }

  #beginAgain(topic: HubTopic): void {
    this.epochCount += 1;
    topic.epoch = this.epochCount;
    // It begins again at offset 1, not 0: 0 means "never published".
    topic.offset = Math.min(topic.offset, 1);
    const { memory } = topic;
    if (!memory) return;
    const before = memory.bytes;
    memory.restore([], memory.state);
    this.table.remembered(memory, before);
  }

  /** The whole topic, or only what follows `has` where that is remembered. */
  #image(topic: HubTopic, has?: Position): TopicImage {
    const { name, offset, memory } = topic;
    const epoch = this.epochOf(topic);
    const missed =
      has?.epoch === epoch
        ? (memory?.since(has.offset, offset, this.now()) ?? (has.offset === offset ? [] : undefined))
        : undefined;
    if (missed && newestThatFit(missed, 0, this.#frameBytes).length === missed.length) {
      return { topic: name, epoch, offset, history: toWire(missed) };
    }
    const history = newestThatFit(memory?.all() ?? [], memory?.stateSizeWith(undefined, "") ?? 0, this.#frameBytes);
    return { topic: name, epoch, offset, history: toWire(history), state: memory?.state ?? [] };
  }

  unfollow(peer: Peer, name: string): void {
    const topic = this.table.find(name);
    const at = topic?.followers?.indexOf(peer) ?? -1;
    if (!topic?.followers || at < 0) return;
    topic.followers.splice(at, 1);
    if (topic.followers.length > 0) return;
    topic.followers = undefined;
    this.table.unfollowed(topic);
  }

  /** A worker's link is gone. */
  unlinked(peer: Peer, followed: Iterable<string>): void {
    for (const name of followed) this.unfollow(peer, name);
  }

  /** Every worker has asked for what it follows: other topics may be forgotten from now on. */
  allFollowed(): void {
    this.table.mayForget = true;
    this.table.trim();
  }

  describe(name: string): Description | undefined {
    const topic = this.table.find(name);
    if (!topic) return undefined;
    const { offset, memory } = topic;
    const history = memory?.history ?? { count: 0, bytes: 0 };
    return {
      ...{ topic: name, epoch: this.epochOf(topic), offset, history },
      get state() {
        return memory?.state ?? [];
      },
    };
  }

  /** One page of its state, in the order of keys. */
  statePage(name: string, limit: number, after?: string): StatePage {
    return pageOf(this.table.find(name)?.memory?.entries() ?? [], limit, after);
  }

  /** Every topic's name and what it remembers, in no order; topics may come and go while it is read. */
  *sizes(): Generator<TopicSize> {
    for (const topic of this.table.values()) {
      const { name, offset, memory } = topic;
      const history = memory?.history ?? { count: 0, bytes: 0 };
      const state = memory?.stateSize ?? { keys: 0, bytes: 0 };
      yield { topic: name, epoch: this.epochOf(topic), offset, history, state };
    }
  }

  /** The workers that follow a topic. */
  followers(name: string): readonly Peer[] {
    return this.table.find(name)?.followers ?? [];
  }

  /** Of a topic, as clients see it. The last text is kept: many topics have the same epoch. */
  epochOf({ epoch }: HubTopic): string {
    if (this.#lastEpoch.count !== epoch)
      this.#lastEpoch = { count: epoch, text: `${this.generation}.${epoch.toString(36)}` };
    return this.#lastEpoch.text;
  }

  /** For a new file of the log: the ids, then every topic whose first publication is not in that file. */
  *images(): Generator<WalRecord> {
    for (const ids of this.ids.parts(IDS_A_RECORD)) yield { type: "ids", ids };
    for (const topic of this.table.values()) {
      if (topic.offset === 0 || topic.logFile === this.log.sequence) continue;
      topic.logFile = this.log.sequence;
      yield { type: "image", image: this.imageOf(topic) };
    }
  }

  imageOf({ name, epoch, offset, memory }: HubTopic): WalImage {
    return { topic: name, epoch, offset, history: memory?.all() ?? [], state: memory?.state ?? [] };
  }

  /** Which offsets were given out is not known: every topic keeps its state and gets a new epoch. */
  newGeneration(generation: string): void {
    this.generation = generation;
    this.#lastEpoch = { count: -1, text: "" };
    for (const topic of this.table.values()) this.#beginAgain(topic);
  }
}
