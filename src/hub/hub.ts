/**
 * Numbers every publication and hands it to the workers that want its topic. One per gateway, in the hub process.
 * A topic's `epoch` names this run of numbering, its `offset` rises by one with each publication. Peers are given as a
 * narrow interface; their queues are bounded by the acceptor.
 */
import { randomBytes } from "node:crypto";
import { type Position, pushText } from "../topics/publication.js";
import { encode, encodePublication } from "./wire.js";

/** A linked worker, as the hub needs it. */
export interface Peer {
  write(frame: Buffer): void;
}

interface HubTopic {
  readonly epoch: string;
  offset: number;
  /** Workers that want it; undefined while none does, since most of a million topics of one user have one or none. */
  interested: Set<Peer> | undefined;
}

export interface Published extends Position {
  readonly topic: string;
}

export class Hub {
  readonly #topics = new Map<string, HubTopic>();
  /** First part of every epoch of this process; a restarted hub never repeats an epoch. */
  readonly #run = randomBytes(6).toString("base64url");
  #epochs = 0;
  publications = 0;
  publicationBytes = 0;

  get topics(): number {
    return this.#topics.size;
  }

  /** Numbers one publication and fans it out. `data` is JSON text. */
  publish(name: string, data: string): Published {
    const topic = this.#topic(name);
    topic.offset += 1;
    const push = Buffer.from(pushText(name, topic.offset, data));
    this.publications += 1;
    this.publicationBytes += push.length;
    if (topic.interested !== undefined) {
      const frame = encodePublication({ topic: name, offset: topic.offset, push });
      for (const peer of topic.interested) peer.write(frame);
    }
    return { topic: name, epoch: topic.epoch, offset: topic.offset };
  }

  /** A worker wants a topic: it is told where numbering stands, and gets every publication after that. */
  want(peer: Peer, name: string): void {
    const topic = this.#topic(name);
    topic.interested ??= new Set();
    topic.interested.add(peer);
    peer.write(encode({ type: "standing", topic: name, epoch: topic.epoch, offset: topic.offset }));
  }

  unwant(peer: Peer, name: string): void {
    const topic = this.#topics.get(name);
    if (topic?.interested?.delete(peer) && topic.interested.size === 0) topic.interested = undefined;
  }

  /** A worker's link is gone. */
  left(peer: Peer, wanted: Iterable<string>): void {
    for (const name of wanted) this.unwant(peer, name);
  }

  #topic(name: string): HubTopic {
    let topic = this.#topics.get(name);
    if (!topic) {
      topic = { epoch: `${this.#run}.${(this.#epochs++).toString(36)}`, offset: 0, interested: undefined };
      this.#topics.set(name, topic);
    }
    return topic;
  }
}
