/**
 * How long a drain and a rolling restart would take, from the connections of a gateway and its measured rates. The same
 * arithmetic as the drain itself (goodbye.ts) and the rolling restart (supervision/rolling-restart.ts). Pure; runs in the
 * command line.
 */
import { GOODBYE_SHARE, windowMsOf } from "./goodbye.js";

/** The answer of `GET /drain` on the admin port. */
export interface DrainFacts {
  readonly connections: number;
  /** Connections of each worker. */
  readonly workers: readonly number[];
  /** Connections at which one worker stops listening. */
  readonly cap: number;
  /** Connections a second that the gateway can take back. */
  readonly returnPerSecond: number;
  /** Goodbyes a second that all workers together can send. */
  readonly goodbyePerSecond: number;
  readonly stopSeconds: number;
  readonly stopNoticeSeconds: number;
}

export interface DrainPlan {
  readonly connections: number;
  /** Seconds. */
  readonly drain: {
    /** /readyz answers 503, and the gateway still serves. */
    readonly notice: number;
    /** From the first goodbye to the last. */
    readonly telling: number;
    /** The window that the goodbyes name. */
    readonly window: number;
    /** From SIGTERM until the processes are gone. */
    readonly gone: number;
    /** From SIGTERM until the last client that follows its goodbye has reconnected, to whichever gateway. */
    readonly lastBack: number;
    /** The shortest --stop-seconds in which the drain keeps to the rate. */
    readonly needs: number;
  };
  readonly rolling: {
    readonly workers: number;
    /** Where all clients reconnect at once; `worstSeconds` where some never do. */
    readonly seconds: number;
    readonly worstSeconds: number;
    /** Closes in total: a client may reconnect to a worker that is still to be replaced. */
    readonly closes: number;
    /** Maximum connections of one worker at any time of the restart. */
    readonly fullest: number;
    /** The longest window of a goodbye. */
    readonly window: number;
  };
}

/** Last handshakes, answers to close frames and ends of processes, at worst. */
const AROUND_SECONDS = 4;
/** Start and end of a process whose clients answer their close frames. */
const EACH_SECONDS = 2;
/** Waited after the window where some clients never reconnect (supervision/rolling-restart.ts). */
const SETTLE_SECONDS = 3;

export function planDrain(facts: DrainFacts, windowSeconds: number): DrainPlan {
  const { connections: n, returnPerSecond, goodbyePerSecond, stopNoticeSeconds: notice } = facts;
  const atRate = n / returnPerSecond;
  const fastest = n / goodbyePerSecond;
  const telling = Math.max(fastest, Math.min(atRate, windowSeconds * GOODBYE_SHARE));
  const window = windowMsOf(n, returnPerSecond) / 1000;
  const needs = Math.ceil(Math.max(atRate, fastest) / GOODBYE_SHARE + AROUND_SECONDS);
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

/** The clients of each worker spread evenly over the others, which take no more than their cap. */
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
    // The new process takes the slot of the old one.
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
