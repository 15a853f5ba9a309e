/**
 * All subscriptions of one topic in this client: passes each event to every subscription that has started. Listeners are user
 * code: one may throw, close its subscription or make another during an event; the others still get the event.
 */
import { type ListenerErrors, shielded } from "./listener-errors.js";
import type { Position } from "./protocol.js";
import type { Gap, Push, Refused, Reset, SubscribeOptions, Subscription, TopicState } from "./subscription.js";

const NO_STATE: ReadonlyMap<string, unknown> = new Map();

/** The feed, as subscriptions read it. */
interface Source {
  readonly topic: string;
  readonly position: Position | undefined;
  readonly state: ReadonlyMap<string, unknown>;
}

class Follower implements Subscription {
  readonly options: SubscribeOptions;
  readonly #source: Source;
  readonly #onClose: () => void;
  closed = false;
  /** Its first `onState` has run. */
  started = false;

  constructor(source: Source, options: SubscribeOptions, onClose: () => void) {
    this.#source = source;
    this.options = options;
    this.#onClose = onClose;
  }

  get topic(): string {
    return this.#source.topic;
  }

  get position(): Position | undefined {
    return this.started ? this.#source.position : undefined;
  }

  get state(): ReadonlyMap<string, unknown> {
    return this.started && this.options.snapshot ? this.#source.state : NO_STATE;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#onClose();
  }
}

export class Audience {
  readonly #topic: string;
  readonly #onError: ListenerErrors;
  /** Iterated while listeners run: a Set skips those that are removed; those that are added have not started yet. */
  readonly #followers = new Set<Follower>();

  constructor(topic: string, onError: ListenerErrors) {
    this.#topic = topic;
    this.#onError = onError;
  }

  get isEmpty(): boolean {
    return this.#followers.size === 0;
  }

  add(source: Source, options: SubscribeOptions, emptied: () => void): Subscription {
    const follower = new Follower(source, options, () => {
      this.#followers.delete(follower);
      if (this.isEmpty) emptied();
    });
    this.#followers.add(follower);
    return follower;
  }

  /** Starts the subscriptions that have not started; one with a snapshot waits until the state is complete. */
  start(state: TopicState, isWhole: boolean): void {
    for (const follower of this.#followers) {
      if (follower.started || (follower.options.snapshot && !isWhole)) continue;
      follower.started = true;
      this.#call("onState", () => follower.options.onState?.(state));
    }
  }

  reset(reset: Reset, state: TopicState): void {
    for (const follower of this.#started()) {
      this.#call("onReset", () => follower.options.onReset?.(reset));
      if (!follower.closed) this.#call("onState", () => follower.options.onState?.(state));
    }
  }

  push(push: Push): void {
    for (const { options } of this.#started()) this.#call("onPush", () => options.onPush?.(push));
  }

  gap(gap: Gap): void {
    for (const { options } of this.#started()) this.#call("onGap", () => options.onGap?.(gap));
  }

  /** Ends all subscriptions, started or not. */
  refuse(refused: Refused): void {
    for (const { options } of this.#closeAll()) this.#call("onRefused", () => options.onRefused?.(refused));
  }

  end(): void {
    this.#closeAll();
  }

  #closeAll(): Follower[] {
    const followers = [...this.#followers];
    this.#followers.clear();
    for (const follower of followers) follower.closed = true;
    return followers;
  }

  #call(listener: string, call: () => unknown): void {
    shielded(call, { listener, topic: this.#topic }, this.#onError);
  }

  *#started(): Iterable<Follower> {
    for (const follower of this.#followers) if (follower.started) yield follower;
  }
}
