/**
 * One subscription as user code holds it, and its events. Several subscriptions of one topic share one feed (feed.ts),
 * so they cost the gateway one subscription. Types only; audience.ts has the feed's side.
 * A subscription gets no event before its first `onState`; from then on its pushes are without gap and without
 * duplicate, or `onReset` says between which positions something may be missing.
 * `T` is the type of the data that publishers of the topic send, as the caller declares it: it is not checked.
 */
import type { Position } from "./protocol.js";

export interface Push<T = unknown> extends Position {
  readonly topic: string;
  readonly key: string | undefined;
  /** `null` with a key: the key was deleted. */
  readonly data: T | null;
}

/** The topic at `offset`: it replaces everything that was known before. */
export interface TopicState<T = unknown> extends Position {
  readonly topic: string;
  /** Live where the subscription asked for a snapshot: later pushes change it. */
  readonly entries: ReadonlyMap<string, T>;
}

/** `missed`: pushes between `from` and `to` are lost for this client. `renumbered`: the gateway began a new epoch. */
export interface Reset {
  readonly topic: string;
  readonly because: "missed" | "renumbered";
  readonly from: Position;
  readonly to: Position;
}

/** Pushes `from` to `to` did not arrive; they have been asked for. */
export interface Gap {
  readonly topic: string;
  readonly from: number;
  readonly to: number;
}

/** The gateway refused the topic; the subscription is over. */
export interface Refused {
  readonly topic: string;
  readonly code: number;
  readonly error: string;
}

export interface SubscribeOptions<T = unknown> {
  /** Begin with the topic's keyed state, and keep it in `state`. */
  readonly snapshot?: boolean;
  onPush?(push: Push<T>): void;
  /** Once at the start, and after every reset. */
  onState?(state: TopicState<T>): void;
  /** Runs before the `onState` that belongs to it. */
  onReset?(reset: Reset): void;
  onGap?(gap: Gap): void;
  onRefused?(refused: Refused): void;
}

export interface Subscription<T = unknown> {
  readonly topic: string;
  readonly closed: boolean;
  /** Of the last push that was received; undefined before the first `onState`. */
  readonly position: Position | undefined;
  /** The topic's keyed state; empty without `snapshot`. */
  readonly state: ReadonlyMap<string, T>;
  close(): void;
}
