/**
 * One topic as this client follows it, across all its connections: its position, what is missing, and its subscriptions.
 * Knows no socket and no timer; reaches them through `FeedDeps`.
 *
 *   away ──connected──► asked ──answer──► joined ──gap, dropped──► joined, asked again ──answer──► joined
 *
 * The position outlives a connection: the next request has it as `since`. A push carries no epoch: it does not count before the
 * answer of its connection.
 */
import { Audience } from "./audience.js";
import type { Counts } from "./counts.js";
import type { ListenerErrors } from "./listener-errors.js";
import {
  type AnswerMessage,
  type Entry,
  type Position,
  type PushMessage,
  REFUSAL,
  type RefusalMessage,
  type Request,
  type ResetMessage,
} from "./protocol.js";
import { KeyedState } from "./state.js";
import type { SubscribeOptions, Subscription, TopicState } from "./subscription.js";

export interface FeedDeps {
  readonly counts: Counts;
  readonly onListenerError: ListenerErrors;
  now(): number;
  /** Sends on the open connection; the answer will carry the returned id. */
  ask(request: Request, feed: Feed): number;
  /** Calls `ask()` of the feed in a few seconds, if the connection is still open. */
  askLater(feed: Feed): void;
  /** The last subscription closed, or the gateway refused the topic. */
  emptied(feed: Feed, refusal?: RefusalMessage): void;
}

export class Feed {
  readonly #deps: FeedDeps;
  readonly #audience: Audience;
  readonly #state = new KeyedState();
  #position: Position | undefined;
  /** The gateway does not know Query, only Subscribe. */
  #queryless = false;
  /** The answer of this connection has come: pushes count. */
  #joined = false;
  /** `isWhole`: its answer will carry all of the state. */
  #request: { readonly id: number; readonly request: Request; readonly isWhole: boolean } | undefined;
  #askedMs = 0;
  /** A request is out or will be repeated: further gaps belong to the same recovery. */
  #recovering = false;
  /** A recovered answer promised the pushes up to this offset. */
  #promised = 0;
  /** Recoveries in a row that brought no push. */
  #fruitless = 0;

  constructor(
    readonly topic: string,
    deps: FeedDeps,
  ) {
    this.#deps = deps;
    this.#audience = new Audience(topic, deps.onListenerError);
  }

  get position(): Position | undefined {
    return this.#position;
  }

  get state(): ReadonlyMap<string, unknown> {
    return this.#state.entries;
  }

  follow(options: SubscribeOptions): Subscription {
    const subscription = this.#audience.add(this, options, () => this.#deps.emptied(this));
    if (options.snapshot) this.#state.track();
    // In a microtask, so that the caller has the subscription before its first event.
    queueMicrotask(() => {
      this.#start();
      this.#completeState();
    });
    return subscription;
  }

  /** `urlId`: the address of the connection has asked for the topic already, and the answer gets this id. */
  connected(urlId?: number): void {
    this.#fruitless = 0;
    // A gateway that supports topics in addresses answers them with the state.
    if (urlId === undefined) this.ask();
    else this.#await(urlId, { reqtype: "Subscribe", topic: this.topic }, true);
  }

  disconnected(): void {
    this.#joined = false;
    this.#recovering = false;
    this.#request = undefined;
    this.#promised = 0;
  }

  /** From the position if there is one; else from the start, with the state if a subscription needs it. */
  ask(): void {
    const { topic } = this;
    if (this.#position) this.#ask({ reqtype: "Subscribe", topic, since: this.#position });
    else if (this.#state.isTracked && !this.#queryless) this.#ask({ reqtype: "Query", action: `all${topic}` });
    else this.#ask({ reqtype: "Subscribe", topic });
  }

  #ask(request: Request): void {
    // A listener may have closed the last subscription meanwhile.
    if (this.#audience.isEmpty) return;
    const isWhole = request.reqtype === "Query" || "since" in request || this.#queryless;
    this.#await(this.#deps.ask(request, this), request, isWhole);
  }

  #await(id: number, request: Request, isWhole: boolean): void {
    this.#recovering = true;
    this.#askedMs = this.#deps.now();
    this.#request = { id, request, isWhole };
  }

  answered(answer: AnswerMessage): void {
    if (this.#request === undefined || this.#request.id !== answer.id) return;
    const { request, isWhole } = this.#request;
    this.#request = undefined;
    this.#recovering = false;
    this.#joined = true;
    const known = this.#position?.epoch === answer.epoch ? this.#position : undefined;
    if (request.reqtype === "Query" && known && known.offset >= answer.offset) this.#complete(answer, known);
    else if (answer.recovered && known) this.#promised = answer.offset;
    else this.#begin(answer, isWhole);
    this.#completeState();
  }

  /** A subscription needs the state of a topic that was followed without it. */
  #completeState(): void {
    if (!this.#state.isTracked || this.#state.isWhole) return;
    if (this.#joined && !this.#recovering && !this.#isPromised()) {
      this.#ask({ reqtype: "Query", action: `all${this.topic}` });
    }
  }

  /** The state of a topic that was followed without it: pushes go on where they were, and waiting subscriptions start. */
  #complete(answer: AnswerMessage, known: Position): void {
    if (answer.offset < known.offset) {
      // From a replica that is behind our position; it will catch up.
      this.#askLater();
      return;
    }
    this.#state.replace(answer.data, true);
    this.#start();
  }

  /** Begins again at the given position; subscriptions that had started get a reset. */
  #begin({ epoch, offset, data }: Position & { data: readonly Entry[] }, isWhole: boolean): void {
    const from = this.#position;
    const to = { epoch, offset };
    const entries = this.#state.replace(data, isWhole);
    this.#position = to;
    this.#promised = 0;
    if (from) {
      const because = from.epoch === epoch ? "missed" : "renumbered";
      this.#deps.counts.resets += 1;
      this.#audience.reset({ topic: this.topic, because, from, to }, { topic: this.topic, ...to, entries });
    }
    this.#start(entries);
  }

  #start(entries = this.#state.entries): void {
    if (!this.#position) return;
    const state: TopicState = { topic: this.topic, ...this.#position, entries };
    this.#audience.start(state, this.#state.isWhole);
  }

  pushed(push: PushMessage): void {
    const { counts } = this.#deps;
    const position = this.#position;
    if (!this.#joined || !position) counts.strays += 1;
    else if (push.offset <= position.offset) counts.duplicates += 1;
    else if (push.prev !== position.offset) this.#gap(position.offset + 1, push.offset - 1);
    else this.#accept(push, position.epoch);
  }

  #accept({ topic, offset, key, data }: PushMessage, epoch: string): void {
    this.#deps.counts.pushes += 1;
    this.#position = { epoch, offset };
    this.#fruitless = 0;
    if (this.#isPromised()) this.#askedMs = this.#deps.now();
    this.#state.apply(key, data);
    this.#audience.push({ topic, epoch, offset, key, data });
    this.#completeState();
  }

  /** The gateway reports that this connection missed pushes. */
  dropped(to: number): void {
    if (this.#joined && this.#position && to > this.#position.offset) this.#gap(this.#position.offset + 1, to);
  }

  #gap(from: number, to: number): void {
    if (this.#recovering) return;
    this.#deps.counts.gaps += 1;
    this.#fruitless += 1;
    if (this.#fruitless === 1) this.ask();
    else this.#askLater();
    this.#audience.gap({ topic: this.topic, from, to });
  }

  /** No tight loop with a gateway that cannot answer now, or whose answers do not help. */
  #askLater(): void {
    this.#recovering = true;
    this.#deps.askLater(this);
  }

  reset(reset: ResetMessage): void {
    if (this.#joined) this.#begin(reset, true);
  }

  refused(refusal: RefusalMessage): void {
    if (this.#request === undefined || this.#request.id !== refusal.id) return;
    const { request } = this.#request;
    this.#request = undefined;
    const { code, error } = refusal;
    if (request.reqtype === "Query" && code === REFUSAL.notARequest) {
      this.#withoutQuery();
    } else if (code === REFUSAL.hubUnavailable || code >= 4100) {
      this.#askLater();
    } else {
      this.#audience.refuse({ topic: this.topic, code, error });
      this.#deps.emptied(this, refusal);
    }
  }

  /** An older gateway: the answer to Subscribe has all the state that it gives. */
  #withoutQuery(): void {
    this.#queryless = true;
    this.#recovering = false;
    if (!this.#joined) {
      this.ask();
      return;
    }
    this.#state.isWhole = true;
    this.#start();
  }

  /** Whether an answer, or the pushes that it promised, have been missing for this long. */
  isOverdue(limitMs: number): boolean {
    const waits = this.#request !== undefined || this.#isPromised();
    return waits && this.#deps.now() - this.#askedMs > limitMs;
  }

  #isPromised(): boolean {
    return this.#position !== undefined && this.#position.offset < this.#promised;
  }

  end(): void {
    this.#audience.end();
  }
}
