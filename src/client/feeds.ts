/**
 * All topics of one client: which feed a message is for, which request an answer belongs to, and which requests must be
 * repeated. A topic is unsubscribed when its last subscription closes, but never before its answer has come: the gateway may
 * have to fetch the topic first, and would refuse the Unsubscribe and then complete the Subscribe. A topic in the address of
 * a connection (url-topics.ts) has an id like that of a request, which its answer does not carry.
 */
import type { Counts } from "./counts.js";
import { Feed, type FeedDeps } from "./feed.js";
import type { ListenerErrors } from "./listener-errors.js";
import type { AnswerMessage, RefusalMessage, ServerMessage } from "./protocol.js";
import type { SubscribeOptions, Subscription } from "./subscription.js";
import { UrlTopics } from "./url-topics.js";

interface Refusal {
  readonly code: number;
  readonly error: string;
  readonly topic?: string;
}

interface FeedsDeps {
  readonly topicsInUrl: boolean;
  readonly onListenerError: ListenerErrors;
  now(): number;
  /** Sends if the connection is open. */
  send(text: string): void;
  /** Calls `askAgain()` in a few seconds, once. */
  later(): void;
  refused(refusal: Refusal): void;
}

type TopicMessage = Extract<ServerMessage, { type: "push" | "answer" | "refusal" | "reset" | "dropped" }>;

export class Feeds {
  readonly #counts: Counts;
  readonly #deps: FeedsDeps;
  readonly #feeds = new Map<string, Feed>();
  /** Requests of this connection that have no answer yet. */
  readonly #asked = new Map<number, Feed>();
  readonly #askAgain = new Set<Feed>();
  readonly #urlTopics: UrlTopics<Feed>;
  readonly #feedDeps: FeedDeps;
  #isConnected = false;
  #lastId = 0;

  constructor(counts: Counts, deps: FeedsDeps) {
    this.#counts = counts;
    this.#deps = deps;
    this.#urlTopics = new UrlTopics(deps.topicsInUrl);
    this.#feedDeps = {
      counts,
      onListenerError: deps.onListenerError,
      now: () => deps.now(),
      ask: (request, feed) => {
        const id = ++this.#lastId;
        this.#asked.set(id, feed);
        deps.send(JSON.stringify({ ...request, id }));
        return id;
      },
      askLater: (feed) => {
        this.#askAgain.add(feed);
        deps.later();
      },
      emptied: (feed, refusal) => this.#emptied(feed, refusal),
    };
  }

  follow(topic: string, options: SubscribeOptions): Subscription {
    const known = this.#feeds.get(topic);
    if (known) return known.follow(options);
    const feed = new Feed(topic, this.#feedDeps);
    this.#feeds.set(topic, feed);
    const subscription = feed.follow(options);
    if (this.#isConnected) feed.connected();
    return subscription;
  }

  /** The address for a new attempt, with topics in it. */
  addressed(address: string): string {
    return this.#urlTopics.addTo(address, this.#feeds.values(), () => ++this.#lastId);
  }

  connected(): void {
    this.#isConnected = true;
    // Also topics that were closed since: their answers will come, and then they are unsubscribed.
    for (const [id, feed] of this.#urlTopics.requests) this.#asked.set(id, feed);
    for (const feed of this.#feeds.values()) feed.connected(this.#urlTopics.idFor(feed));
  }

  received(message: TopicMessage): void {
    switch (message.type) {
      case "push": {
        const feed = this.#feeds.get(message.topic);
        if (feed) feed.pushed(message);
        else this.#counts.strays += 1;
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
    const id = answer.id ?? this.#urlTopics.answered(answer.urlTopic);
    if (id === undefined) {
      // For a topic that the user wrote into the address.
      this.#counts.unknown += 1;
      return;
    }
    const feed = this.#asked.get(id);
    this.#asked.delete(id);
    if (!feed) return;
    if (this.#feeds.get(feed.topic) === feed) feed.answered({ ...answer, id });
    else if (!this.#feeds.has(feed.topic)) this.#unsubscribe(feed.topic);
  }

  #refused(refusal: RefusalMessage): void {
    const { code, error } = refusal;
    const id = refusal.id ?? this.#urlTopics.answered(refusal.urlTopic);
    const feed = id === undefined ? undefined : this.#asked.get(id);
    if (id !== undefined) this.#asked.delete(id);
    if (!feed) this.#deps.refused({ code, error });
    else if (this.#feeds.get(feed.topic) === feed) feed.refused({ ...refusal, id });
  }

  #emptied(feed: Feed, refusal: RefusalMessage | undefined): void {
    const { topic } = feed;
    this.#feeds.delete(topic);
    this.#askAgain.delete(feed);
    if (refusal) this.#deps.refused({ code: refusal.code, error: refusal.error, topic });
    else if (this.#isConnected && ![...this.#asked.values()].includes(feed)) this.#unsubscribe(topic);
  }

  #unsubscribe(topic: string): void {
    this.#deps.send(JSON.stringify({ reqtype: "Unsubscribe", topic }));
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
    this.#urlTopics.ended(this.#isConnected);
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
