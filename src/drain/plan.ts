/**
 * What a drain and a rolling restart would take, from what the gateway holds and the rates that it has measured. Pure.
 * The sums are those that the farewell (session/farewell.ts) and the roll (rolling.ts) go by.
 */
import { TELL_SHARE, windowMsOf } from "./goodbye.js";

/** What `GET /drain` on the admin port answers. */
export interface DrainFacts {
  readonly connections: number;
  /** Connections of each worker. */
  readonly workers: readonly number[];
  /** Connections at which one worker stops listening. */
  readonly cap: number;
  /** Connections a second that the gateway takes back. */
  readonly returnPerSecond: number;
  /** Goodbyes a second that all workers together can say. */
  readonly goodbyePerSecond: number;
  readonly stopSeconds: number;
  readonly stopNoticeSeconds: number;
}

export interface DrainPlan {
  readonly connections: number;
  /** Seconds. */
  readonly drain: {
    /** Not ready, but everything goes on. */
    readonly notice: number;
    /** From the first goodbye to the last. */
    readonly telling: number;
    /** What each client is told to come back in. */
    readonly window: number;
    /** From SIGTERM until the processes are gone. */
    readonly gone: number;
    /** From SIGTERM until the last client that obeys has come back to somebody. */
    readonly lastBack: number;
    /** The least window in which all of it fits at the pace. */
    readonly needs: number;
  };
  readonly rolling: {
    readonly workers: number;
    /** When everybody comes back at once, and when some never do. */
    readonly seconds: number;
    readonly worstSeconds: number;
    /** Closes in all: a client may land on a worker whose turn is still to come. */
    readonly closes: number;
    /** Connections of the fullest worker on the way. */
    readonly fullest: number;
    /** The greatest window that a client is given. */
    readonly window: number;
  };
}

/** Last handshakes, answers to close frames, ends of processes; at worst. */
const AROUND_SECONDS = 4;
/** Start of a process and its end, with clients that answer. */
const EACH_SECONDS = 2;
/** Beyond the window, where some never come back (rolling.ts). */
const SETTLE_SECONDS = 3;

export function planDrain(facts: DrainFacts, windowSeconds: number): DrainPlan {
  const { connections: n, returnPerSecond, goodbyePerSecond, stopNoticeSeconds: notice } = facts;
  const paced = n / returnPerSecond;
  const fastest = n / goodbyePerSecond;
  const telling = Math.max(fastest, Math.min(paced, windowSeconds * TELL_SHARE));
  const window = windowMsOf(n, returnPerSecond) / 1000;
  const needs = Math.ceil(Math.max(paced, fastest) / TELL_SHARE + AROUND_SECONDS);
  return {
    connections: n,
    drain: {
      notice,
      telling,
      window,
      gone: notice + telling + AROUND_SECONDS,
      lastBack: notice + telling + window,
      needs,
    },
    rolling: planRolling(facts),
  };
}

/** Each worker's clients spread evenly over the others, which take no more than their cap. */
function planRolling({ workers, cap, returnPerSecond }: DrainFacts): DrainPlan["rolling"] {
  const held = [...workers];
  const sum = {
    workers: workers.length,
    seconds: 0,
    worstSeconds: 0,
    closes: 0,
    fullest: Math.max(0, ...workers),
    window: 0,
  };
  for (let turn = 0; turn < workers.length; turn++) {
    const moved = held[turn]!;
    held[turn] = 0;
    const each = moved / held.length;
    // The new process stands at the old one's place.
    for (let i = 0; i < held.length; i++) held[i] = Math.min(cap, held[i]! + each);
    const window = windowMsOf(moved, returnPerSecond) / 1000;
    sum.closes += moved;
    sum.fullest = Math.max(sum.fullest, ...held);
    sum.window = Math.max(sum.window, window);
    sum.seconds += EACH_SECONDS + moved / returnPerSecond + window;
    sum.worstSeconds += EACH_SECONDS + AROUND_SECONDS + moved / returnPerSecond + window + SETTLE_SECONDS;
  }
  return { ...sum, closes: Math.round(sum.closes), fullest: Math.ceil(sum.fullest) };
}
