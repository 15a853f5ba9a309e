/**
 * All topics of one client: which feed a message is for, which request an answer belongs to, and what has to be asked
 * again. A topic is unsubscribed when its last subscription closes, but never while its answer is on the way: the
 * gateway may have to fetch the topic first, and would refuse the one and then go on with the other.
 */
import type { Counts } from "./counts.js";
import { Feed, type FeedSurroundings } from "./feed.js";
import type { AnswerMessage, RefusalMessage, ServerMessage } from "./protocol.js";
import type { SubscribeOptions, Subscription } from "./subscription.js";

interface Refusal {
  readonly code: number;
  readonly error: string;
  readonly topic?: string;
}

/** What the client lends to its topics. */
interface Surroundings {
  now(): number;
  /** Sends if the connection is open. */
  send(text: string): void;
  /** Calls `askAgain()` in a few seconds, once. */
  later(): void;
  refused(refusal: Refusal): void;
}

type TopicMessage = Extract<ServerMessage, { kind: "push" | "answer" | "refusal" | "reset" | "dropped" }>;

export class Feeds {
  readonly #feeds = new Map<string, Feed>();
  /** Requests on this connection without an answer yet. */
  readonly #asked = new Map<number, Feed>();
  readonly #askAgain = new Set<Feed>();
  readonly #lent: FeedSurroundings;
  #isConnected = false;
  #lastId = 0;

  constructor(
    private readonly counts: Counts,
    private readonly around: Surroundings,
  ) {
    this.#lent = {
      counts,
      now: () => around.now(),
      ask: (request, feed) => {
        const id = ++this.#lastId;
        this.#asked.set(id, feed);
        around.send(JSON.stringify({ ...request, id }));
        return id;
      },
      askLater: (feed) => {
        this.#askAgain.add(feed);
        around.later();
      },
      emptied: (feed, refusal) => this.#emptied(feed, refusal),
    };
  }

  follow(topic: string, options: SubscribeOptions): Subscription {
    const known = this.#feeds.get(topic);
    if (known) return known.follow(options);
    const feed = new Feed(topic, this.#lent);
    this.#feeds.set(topic, feed);
    const subscription = feed.follow(options);
    if (this.#isConnected) feed.connected();
    return subscription;
  }

  connected(): void {
    this.#isConnected = true;
    for (const feed of this.#feeds.values()) feed.connected();
  }

  received(message: TopicMessage): void {
    switch (message.kind) {
      case "push": {
        const feed = this.#feeds.get(message.topic);
        if (feed) feed.pushed(message);
        else this.counts.strays += 1;
        break;
      }
      case "answer":
        this.#answered(message);
        break;
      case "refusal":
        this.#refused(message);
        break;
      case "reset":
        this.#feeds.get(message.topic)?.reset(message);
        break;
      case "dropped":
        this.#feeds.get(message.topic)?.dropped(message.to);
    }
  }

  #answered(answer: AnswerMessage): void {
    const feed = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (!feed) return;
    if (this.#feeds.get(feed.topic) === feed) feed.answered(answer);
    else if (!this.#feeds.has(feed.topic)) this.#unsubscribe(feed.topic);
  }

  #refused(refusal: RefusalMessage): void {
    const { id, code, error } = refusal;
    const feed = id === undefined ? undefined : this.#asked.get(id);
    if (id !== undefined) this.#asked.delete(id);
    if (!feed) this.around.refused({ code, error });
    else if (this.#feeds.get(feed.topic) === feed) feed.refused(refusal);
  }

  #emptied(feed: Feed, refusal: RefusalMessage | undefined): void {
    const { topic } = feed;
    this.#feeds.delete(topic);
    this.#askAgain.delete(feed);
    if (refusal) this.around.refused({ code: refusal.code, error: refusal.error, topic });
    else if (this.#isConnected && ![...this.#asked.values()].includes(feed)) this.#unsubscribe(topic);
  }

  #unsubscribe(topic: string): void {
    this.around.send(JSON.stringify({ reqtype: "Unsubscribe", topic }));
  }

  askAgain(): void {
    const feeds = [...this.#askAgain];
    this.#askAgain.clear();
    for (const feed of feeds) feed.ask();
  }

  isOverdue(limitMs: number): boolean {
    for (const feed of this.#feeds.values()) if (feed.isOverdue(limitMs)) return true;
    return false;
  }

  disconnected(): void {
    this.#isConnected = false;
    this.#asked.clear();
    this.#askAgain.clear();
    for (const feed of this.#feeds.values()) feed.disconnected();
  }

  end(): void {
    this.disconnected();
    for (const feed of this.#feeds.values()) feed.end();
    this.#feeds.clear();
  }
}
