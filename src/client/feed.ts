/**
 * One topic as this client follows it, across all its connections: where it stands, what is missing, who hears of it.
 * Knows no socket and no timer; asks through what the client lends it.
 *
 *   away ──connected──► asked ──answer──► joined ──gap, dropped──► joined, asked again ──answer──► joined
 *
 * The position survives a connection: the next request says `since`. A push carries no epoch: none counts before the answer.
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

/** What the client lends to its feeds. */
export interface FeedDeps {
  readonly counts: Counts;
  readonly onListenerError: ListenerErrors;
  now(): number;
  /** Sends on the open connection; the answer will carry the returned id. */
  ask(request: Request, feed: Feed): number;
  /** Calls `ask()` of the feed in a few seconds, if the connection still stands. */
  askLater(feed: Feed): void;
  /** The last follower left, or the gateway refused the topic. */
  emptied(feed: Feed, refusal?: RefusalMessage): void;
}

export class Feed {
  readonly #deps: FeedDeps;
  readonly #audience: Audience;
  readonly #state = new KeyedState();
  #position: Position | undefined;
  /** The gateway does not know Query, only Subscribe. */
  #queryless = false;
  /** This connection's answer is here: pushes count. */
  #joined = false;
  /** `isWhole`: its answer will carry all of the state. */
  #request: { readonly id: number; readonly request: Request; readonly isWhole: boolean } | undefined;
  #askedMs = 0;
  /** Asked, or going to ask: further gaps are part of the same trouble. */
  #recovering = false;
  /** A recovered answer promised the pushes up to here. */
  #owed = 0;
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
    if (options.snapshot) this.#state.want();
    // Later, so that the caller holds the subscription when its first event comes.
    queueMicrotask(() => {
      this.#start();
      this.#completeState();
    });
    return subscription;
  }

  /** `urlId`: the address of the connection has asked already, and the answer will carry this id. */
  connected(urlId?: number): void {
    this.#fruitless = 0;
    // A gateway that knows topics in addresses answers them with the state.
    if (urlId === undefined) this.ask();
    else this.#await(urlId, { reqtype: "Subscribe", topic: this.topic }, true);
  }

  disconnected(): void {
    this.#joined = false;
    this.#recovering = false;
    this.#request = undefined;
    this.#owed = 0;
  }

  /** From where we stand if we stand anywhere; else from the start, with the state if somebody wants it. */
  ask(): void {
    const { topic } = this;
    if (this.#position) this.#ask({ reqtype: "Subscribe", topic, since: this.#position });
    else if (this.#state.isWanted && !this.#queryless) this.#ask({ reqtype: "Query", action: `all${topic}` });
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
    else if (answer.recovered && known) this.#owed = answer.offset;
    else this.#begin(answer, isWhole);
    this.#completeState();
  }

  /** Somebody wants the state of a topic that was followed without it. */
  #completeState(): void {
    if (!this.#state.isWanted || this.#state.isWhole) return;
    if (this.#joined && !this.#recovering && !this.#isOwed()) {
      this.#ask({ reqtype: "Query", action: `all${this.topic}` });
    }
  }

  /** The state that was wanted later: pushes go on where they were, and who waited for it may start. */
  #complete(answer: AnswerMessage, known: Position): void {
    if (answer.offset < known.offset) {
      // A replica that is behind what we have seen; it will catch up.
      this.#later();
      return;
    }
    this.#state.replace(answer.data, true);
    this.#start();
  }

  /** Begins anew at the given position, and says so to everybody who had begun before. */
  #begin({ epoch, offset, data }: Position & { data: readonly Entry[] }, isWhole: boolean): void {
    const from = this.#position;
    const to = { epoch, offset };
    const entries = this.#state.replace(data, isWhole);
    this.#position = to;
    this.#owed = 0;
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
    if (this.#isOwed()) this.#askedMs = this.#deps.now();
    this.#state.apply(key, data);
    this.#audience.push({ topic, epoch, offset, key, data });
    this.#completeState();
  }

  /** The gateway knows that this connection missed something. */
  dropped(to: number): void {
    if (this.#joined && this.#position && to > this.#position.offset) this.#gap(this.#position.offset + 1, to);
  }

  #gap(from: number, to: number): void {
    if (this.#recovering) return;
    this.#deps.counts.gaps += 1;
    this.#fruitless += 1;
    if (this.#fruitless === 1) this.ask();
    else this.#later();
    this.#audience.gap({ topic: this.topic, from, to });
  }

  /** No tight loop with a gateway that cannot answer now, or whose answers do not help. */
  #later(): void {
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
      this.#later();
    } else {
      this.#audience.refuse({ topic: this.topic, code, error });
      this.#deps.emptied(this, refusal);
    }
  }

  /** An older gateway: what Subscribe gives is all the state there is. */
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

  /** Whether an answer, or what an answer promised, has been outstanding for this long. */
  isOverdue(limitMs: number): boolean {
    const waits = this.#request !== undefined || this.#isOwed();
    return waits && this.#deps.now() - this.#askedMs > limitMs;
  }

  #isOwed(): boolean {
    return this.#position !== undefined && this.#position.offset < this.#owed;
  }

  end(): void {
    this.#audience.end();
  }
}
