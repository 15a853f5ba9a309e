/**
 * Numbers every publication, remembers what each topic's rule asks for, and hands it to the workers that want the topic.
 * One per gateway, in the hub process. A topic's `epoch` names one run of numbering, its `offset` rises by one with each
 * publication. What topics remember is bounded in all: beyond it the oldest topics without subscribers are forgotten.
 * Peers are a narrow interface; their queues are bounded by the acceptor. Rebuilding after a crash is rebuild.ts.
 */
import { randomBytes } from "node:crypto";
import { GatewayError } from "../errors.js";
import { type StateEntry, TopicMemory } from "../topics/memory.js";
import { encodePush, type Position } from "../topics/publication.js";
import type { TopicRules } from "../topics/rules.js";
import { type Aged, AgeList } from "./age.js";
import { fitting, stateLimit } from "./image.js";
import { encode, encodePublication, fromWire, MAX_FRAME_BYTES, type TopicImage, toWire } from "./wire.js";

/** A linked worker, as the hub needs it. */
export interface Peer {
  write(frame: Buffer): void;
}

interface HubTopic extends Aged<HubTopic> {
  readonly name: string;
  epoch: string;
  offset: number;
  /** Created with the first publication that is remembered: a million topics of one user mostly have little. */
  memory: TopicMemory | undefined;
  /** Workers that want it; undefined while none does. */
  interested: Set<Peer> | undefined;
}

export interface Published extends Position {
  readonly topic: string;
}

export interface Description extends Published {
  readonly history: { count: number; bytes: number };
  readonly state: readonly StateEntry[];
}

/** Map entry and object of one topic, bytes (a million lean topics: 0.2 GB). */
const TOPIC_BYTES = 200;

export class Hub {
  readonly #topics = new Map<string, HubTopic>();
  readonly #unwanted = new AgeList<HubTopic>();
  /** First part of every epoch of this process: its start, so that epochs have an order, and chance, so that none repeats. */
  readonly #run = `${Date.now().toString(36)}-${randomBytes(4).toString("hex")}`;
  #epochs = 0;
  /** False while replicas are gathered after a crash: publications are refused, not half done. */
  open = true;
  publications = 0;
  publicationBytes = 0;
  memoryBytes = 0;
  evicted = 0;

  constructor(
    private readonly rules: TopicRules,
    private readonly memoryLimit: number,
    /** Greatest frame that a worker takes. */
    private readonly frameBytes = MAX_FRAME_BYTES,
  ) {}

  get topics(): number {
    return this.#topics.size;
  }

  /** Numbers one publication and fans it out. `data` is JSON text; `null` with a key deletes that key. */
  publish(name: string, data: string, key?: string): Published {
    if (!this.open)
      throw new GatewayError("hubUnavailable", "the hub gathers its topics after a restart; publish again in a second");
    const topic = this.#topic(name);
    const memory = this.#memory(topic);
    if (memory?.accepts(key, data) === false) {
      throw new GatewayError(
        "stateFull",
        `topic ${name} has as many keys as its rule allows; raise --state-keys or delete some`,
      );
    }
    if (key !== undefined && data !== "null") this.#checkState(name, memory?.stateSizeWith(key, data) ?? 0);
    topic.offset += 1;
    const publication = { topic: name, offset: topic.offset, key, push: encodePush(name, topic.offset, data, key) };
    this.publications += 1;
    this.publicationBytes += publication.push.length;
    if (memory) this.#remember(topic, () => memory.add(publication, Date.now()));
    if (topic.interested !== undefined) {
      const frame = encodePublication(publication);
      for (const peer of topic.interested) peer.write(frame);
    }
    return { topic: name, epoch: topic.epoch, offset: topic.offset };
  }

  /** State that no worker could be told must not come to be. */
  #checkState(name: string, characters: number): void {
    const most = stateLimit(this.frameBytes);
    if (characters <= most) return;
    const detail = `topic ${name}: its state may have ${most} characters, a quarter of --hub-queue-bytes (of 64 MiB at most); raise that, delete keys, or spread them over topics`;
    throw new GatewayError("stateFull", detail);
  }

  #memory(topic: HubTopic): TopicMemory | undefined {
    if (topic.memory) return topic.memory;
    const rule = this.rules.of(topic.name);
    if (rule.historyCount === 0 && rule.stateKeys === 0) return undefined;
    topic.memory = new TopicMemory(rule);
    return topic.memory;
  }

  /** Runs a change of what a topic remembers, keeps the account of bytes and the order of age, and makes room. */
  #remember(topic: HubTopic, change: () => void): void {
    const before = topic.memory?.bytes ?? 0;
    change();
    this.memoryBytes += (topic.memory?.bytes ?? 0) - before;
    if (topic.interested === undefined) this.#unwanted.touch(topic);
    this.#evict();
  }

  /** Forgets the oldest without subscribers until the rest fits. */
  #evict(): void {
    while (this.memoryBytes > this.memoryLimit) {
      const { oldest } = this.#unwanted;
      if (!oldest) return;
      this.#forget(oldest);
      this.evicted += 1;
    }
  }

  #forget(topic: HubTopic): void {
    this.#topics.delete(topic.name);
    this.#unwanted.remove(topic);
    this.memoryBytes -= TOPIC_BYTES + (topic.memory?.bytes ?? 0);
  }

  /** A worker wants a topic: it is told where that stands, and gets every publication after that. */
  want(peer: Peer, name: string, has?: Position): void {
    const topic = this.#topic(name);
    this.#unwanted.remove(topic);
    topic.interested ??= new Set();
    topic.interested.add(peer);
    if (has?.epoch === topic.epoch && has.offset > topic.offset) this.#renumber(topic);
    else peer.write(encode({ type: "standing", ...this.#image(topic, has) }));
  }

  /**
   * A worker that linked late knows publications that this hub does not: its numbers are taken, so numbering begins
   * anew, and every follower is told.
   */
  #renumber(topic: HubTopic): void {
    this.#beginAnew(topic);
    const frame = encode({ type: "standing", ...this.#image(topic) });
    for (const peer of topic.interested ?? []) peer.write(frame);
  }

  /** Of every topic, with its state: nobody can tell which numbers were given out (rebuild.ts). Before any want. */
  renumberAll(): void {
    for (const topic of [...this.#topics.values()]) this.#beginAnew(topic);
  }

  #beginAnew(topic: HubTopic): void {
    topic.epoch = this.#newEpoch();
    topic.offset = 0;
    if (topic.memory) this.#remember(topic, () => topic.memory?.restore([], topic.memory.state));
  }

  /** The whole topic, or only what follows `has` where that is remembered. */
  #image({ name, epoch, offset, memory }: HubTopic, has?: Position): TopicImage {
    const missed =
      has?.epoch === epoch
        ? (memory?.since(has.offset, offset, Date.now()) ?? (has.offset === offset ? [] : undefined))
        : undefined;
    if (missed && fitting(missed, 0, this.frameBytes).length === missed.length) {
      return { topic: name, epoch, offset, history: toWire(missed) };
    }
    const history = fitting(memory?.all() ?? [], memory?.stateSizeWith(undefined, "") ?? 0, this.frameBytes);
    return { topic: name, epoch, offset, history: toWire(history), state: memory?.state ?? [] };
  }

  unwant(peer: Peer, name: string): void {
    const topic = this.#topics.get(name);
    if (!topic?.interested?.delete(peer) || topic.interested.size > 0) return;
    topic.interested = undefined;
    // Asked for and never published to: it costs nothing once nobody wants it.
    if (topic.offset === 0) this.#forget(topic);
    else this.#unwanted.touch(topic);
  }

  /** A worker's link is gone. */
  left(peer: Peer, wanted: Iterable<string>): void {
    for (const name of wanted) this.unwant(peer, name);
  }

  describe(name: string): Description | undefined {
    const topic = this.#topics.get(name);
    if (!topic) return undefined;
    const { epoch, offset, memory } = topic;
    const history = memory?.history ?? { count: 0, bytes: 0 };
    return { topic: name, epoch, offset, history, state: memory?.state ?? [] };
  }

  /** The workers that want a topic. */
  followers(name: string): Iterable<Peer> {
    return this.#topics.get(name)?.interested ?? [];
  }

  /** Every topic as it stands, with all that is remembered, for `--state-dir`. */
  *images(): Generator<TopicImage> {
    for (const { name, epoch, offset, memory } of this.#topics.values()) {
      yield { topic: name, epoch, offset, history: toWire(memory?.all() ?? []), state: memory?.state ?? [] };
    }
  }

  /** Takes over a topic from a worker's replica or from disk; the later epoch wins, within it the one that is ahead. */
  adopt(image: TopicImage): void {
    const known = this.#topics.get(image.topic);
    if (known?.epoch === image.epoch ? known.offset >= image.offset : known && isLater(known.epoch, image.epoch))
      return;
    const topic: HubTopic = known ?? this.#topic(image.topic);
    topic.epoch = image.epoch;
    topic.offset = image.offset;
    const memory = this.#memory(topic);
    if (!memory) return;
    this.#remember(topic, () => memory.restore(fromWire(image.history), image.state ?? []));
    this.#checkState(image.topic, memory.stateSizeWith(undefined, ""));
  }

  #topic(name: string): HubTopic {
    let topic = this.#topics.get(name);
    if (!topic) {
      // Before it is in the list itself, or it might be the one to go.
      this.#evict();
      const unlinked = { older: undefined, newer: undefined, isListed: false };
      topic = { name, epoch: this.#newEpoch(), offset: 0, memory: undefined, interested: undefined, ...unlinked };
      this.#topics.set(name, topic);
      this.#unwanted.touch(topic);
      this.memoryBytes += TOPIC_BYTES;
    }
    return topic;
  }

  #newEpoch(): string {
    return `${this.#run}.${(this.#epochs++).toString(36)}`;
  }
}

/** Whether epoch `a` began after `b`. The start of a run has the same number of digits until the year 2059. */
function isLater(a: string, b: string): boolean {
  const [runA = "", countA = ""] = a.split(".");
  const [runB = "", countB = ""] = b.split(".");
  return runA === runB ? Number.parseInt(countA, 36) > Number.parseInt(countB, 36) : runA > runB;
}
