/**
 * The messages between coordinator and generators in a scenario: steps down, findings up. Plain data only; the sum over
 * several generators is here too. Runs in both.
 */
import type { EncodedHistogram } from "../generator/histogram.js";

type Tally = Record<string, number>;

/** How clients reconnect: as the SDK does, after a fixed pause, or not at all. */
export const RECONNECT_POLICIES = ["sdk", "naive", "none"] as const;
export type ReconnectPolicy = (typeof RECONNECT_POLICIES)[number];

/** How the connections of a generator reconnect, and to which topics. */
export interface ReconnectConfig {
  readonly policy: ReconnectPolicy;
  /** The fixed pause of the policy `naive`. */
  readonly naiveMs: number;
  /** Topics of the whole run. */
  readonly topics: number;
  /** Connections to a topic; connection g of the whole run has topic floor(g / socketsPerTopic). */
  readonly socketsPerTopic: number;
  /** The number, in the whole run, of this generator's first connection. */
  readonly first: number;
}

export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export type Step =
  /** Latencies go into a new window; connections that are away or paused from now on count as disturbed in it. */
  | { readonly type: "window"; readonly index: number; readonly atMs: number }
  /** This share of the connections is reset at once. */
  | { readonly type: "cut"; readonly share: number }
  /** `perSecond` connections close in an orderly way each second, for `forMs`. */
  | { readonly type: "churn"; readonly perSecond: number; readonly forMs: number }
  /** This share of the connections is not read from now on. */
  | { readonly type: "pause"; readonly share: number }
  | { readonly type: "resume" }
  /** The newest position of each topic, by its index; null where nothing was published. */
  | { readonly type: "heads"; readonly heads: readonly (Position | null)[] };

/** The findings of one generator: since the beginning, but of the present window where the field says so. */
export interface ScenarioPart {
  /** Pushes received for the first time. */
  readonly delivered: number;
  readonly duplicates: number;
  /** Places in the numbering at which pushes were missing without an announcement, and how many pushes. */
  readonly gaps: number;
  readonly lost: number;
  /** Announced by `dropped`, replaced by newer ones (`prev`), void after `recovered:false` or `reset`. */
  readonly dropped: number;
  readonly replaced: number;
  readonly voided: number;
  readonly resets: number;
  /** Open connections that have not received the newest push of their topic, and how many pushes are missing. */
  readonly behind: number;
  readonly behindMessages: number;
  /** Ends of open connections by close code or error; "cut" and "left" are the client's own. */
  readonly ends: Tally;
  /** How often a connection ended, and how often one was back. */
  readonly departures: number;
  readonly returns: number;
  /** Connections that do not reconnect, by the policy or by their close code. */
  readonly gone: number;
  /** The longest window of a `retry`, for a disconnect without a close frame; 0 for none. */
  readonly maxRetryWindowMs: number;
  /** Failed attempts to reconnect, by reason. */
  readonly refusals: Tally;
  readonly maxAttempts: number;
  readonly longestAwayMs: number;
  readonly awayTimes: EncodedHistogram;
  /** Of the window: returns in each second of it. */
  readonly returnsBySecond: readonly number[];
  /** Of the window: latencies of connections that were neither away nor paused in it, by the second of publication. */
  readonly latencies: readonly EncodedHistogram[];
  /** When the last connection was back, and when the last of them had received all that it missed; 0 for never. */
  readonly lastBackAtMs: number;
  readonly lastCaughtUpAtMs: number;
  readonly paused: number;
}

export type SumOfParts = Omit<ScenarioPart, "awayTimes" | "latencies">;

/** Adds up all but the histograms. */
export function addParts(parts: readonly ScenarioPart[]): SumOfParts {
  const sum = (key: keyof ScenarioPart): number => parts.reduce((all, part) => all + (part[key] as number), 0);
  const max = (
    key: "maxAttempts" | "maxRetryWindowMs" | "longestAwayMs" | "lastBackAtMs" | "lastCaughtUpAtMs",
  ): number => Math.max(0, ...parts.map((part) => part[key]));
  const seconds = Math.max(0, ...parts.map((part) => part.returnsBySecond.length));
  return {
    delivered: sum("delivered"),
    duplicates: sum("duplicates"),
    gaps: sum("gaps"),
    lost: sum("lost"),
    dropped: sum("dropped"),
    replaced: sum("replaced"),
    voided: sum("voided"),
    resets: sum("resets"),
    behind: sum("behind"),
    behindMessages: sum("behindMessages"),
    ends: addTallies(parts.map((part) => part.ends)),
    departures: sum("departures"),
    returns: sum("returns"),
    gone: sum("gone"),
    refusals: addTallies(parts.map((part) => part.refusals)),
    maxAttempts: max("maxAttempts"),
    maxRetryWindowMs: max("maxRetryWindowMs"),
    longestAwayMs: max("longestAwayMs"),
    returnsBySecond: Array.from({ length: seconds }, (_, i) =>
      parts.reduce((all, part) => all + (part.returnsBySecond[i] ?? 0), 0),
    ),
    lastBackAtMs: max("lastBackAtMs"),
    lastCaughtUpAtMs: max("lastCaughtUpAtMs"),
    paused: sum("paused"),
  };
}

function addTallies(tallies: readonly Tally[]): Tally {
  const sum: Tally = {};
  for (const tally of tallies) for (const [reason, n] of Object.entries(tally)) sum[reason] = (sum[reason] ?? 0) + n;
  return sum;
}
