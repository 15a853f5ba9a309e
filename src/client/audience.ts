/**
 * Who follows one topic here: hands each event to every subscription that has begun. Listeners are user code: one may
 * throw, close its subscription or make another in the middle of an event, and the others still hear.
 */
import { type ListenerErrors, shielded } from "./listener-errors.js";
import type { Position } from "./protocol.js";
import type { Gap, Push, Refused, Reset, SubscribeOptions, Subscription, TopicState } from "./subscription.js";

const NO_STATE: ReadonlyMap<string, unknown> = new Map();

interface Source {
  readonly topic: string;
  readonly position: Position | undefined;
  readonly state: ReadonlyMap<string, unknown>;
}

class Follower implements Subscription {
  readonly #source: Source;
  readonly #leave: () => void;
  closed = false;
  /** Its first `onState` has run. */
  started = false;

  constructor(
    source: Source,
    readonly options: SubscribeOptions,
    leave: () => void,
  ) {
    this.#source = source;
    this.#leave = leave;
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
    this.#leave();
  }
}

export class Audience {
  readonly #topic: string;
  readonly #onError: ListenerErrors;
  /** Iterated while listeners run: who leaves is skipped, who joins has not started yet. */
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

  /** Those who have not begun; a subscription with a snapshot waits until the state is whole. */
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

  /** Over for everybody, begun or not. */
  refuse(refused: Refused): void {
    for (const { options } of this.#dismiss()) this.#call("onRefused", () => options.onRefused?.(refused));
  }

  end(): void {
    this.#dismiss();
  }

  #dismiss(): Follower[] {
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
