/**
 * What coordinator and generators say to each other in a scenario: steps down, findings up. Plain data only; the sum over
 * several generators is here too. Runs in both.
 */
import type { EncodedHistogram } from "../generator/histogram.js";

type Tally = Record<string, number>;

/** How clients come back: as the SDK does, after a fixed pause, or not at all. */
export const RETURN_POLICIES = ["sdk", "naive", "none"] as const;
export type ReturnPolicy = (typeof RETURN_POLICIES)[number];

/** What a generator must know about its connections' way of coming back. */
export interface ReturnDuty {
  readonly policy: ReturnPolicy;
  /** The pause of the naive ones. */
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
  /** Latencies go into a new window; who is away from now on, or paused, counts as touched in it. */
  | { readonly kind: "window"; readonly index: number; readonly atMs: number }
  /** That share of the connections is reset at once. */
  | { readonly kind: "cut"; readonly share: number }
  /** So many a second close in order, for so long. */
  | { readonly kind: "churn"; readonly perSecond: number; readonly forMs: number }
  /** That share of the connections is not read from now on. */
  | { readonly kind: "pause"; readonly share: number }
  | { readonly kind: "resume" }
  /** The newest position of each topic, by its index; null where nothing was published. */
  | { readonly kind: "heads"; readonly heads: readonly (Position | null)[] };

/** What one generator, or all together, found: since the beginning, but for what is said to be of a window. */
export interface Part {
  /** Pushes received for the first time. */
  readonly delivered: number;
  readonly duplicates: number;
  /** Places in the numbering at which a push was missing without a word, and how many were. */
  readonly gaps: number;
  readonly lost: number;
  /** Told by `dropped`, replaced by newer ones (`prev`), void after `recovered:false` or `reset`. */
  readonly dropped: number;
  readonly replaced: number;
  readonly voided: number;
  readonly resets: number;
  /** Open connections that have not got the newest push of their topic, and how many pushes that are. */
  readonly behind: number;
  readonly behindMessages: number;
  /** Ends of open connections by close code or error; "cut" and "left" are our own doing. */
  readonly ends: Tally;
  /** Connections that were away, by how often, and how often they came back. */
  readonly departures: number;
  readonly returns: number;
  /** Stay away, by the policy or because the gateway said so. */
  readonly gone: number;
  /** The longest window that the gateway told somebody for an end without a word; 0 for none. */
  readonly mostToldMs: number;
  /** Failed attempts to come back, by reason. */
  readonly refusals: Tally;
  readonly mostAttempts: number;
  readonly longestAwayMs: number;
  readonly awayTimes: EncodedHistogram;
  /** Of the window: returns in each second of it. */
  readonly returnsBySecond: readonly number[];
  /** Of the window: latencies of connections that were neither away nor paused in it, by the second of publication. */
  readonly latencies: readonly EncodedHistogram[];
  /** The last return, and the last moment at which a connection that came back had all it had missed; 0 for never. */
  readonly lastBackAtMs: number;
  readonly lastCaughtUpAtMs: number;
  readonly paused: number;
}

export type SumOfParts = Omit<Part, "awayTimes" | "latencies">;

/** Adds up all but the histograms. */
export function addParts(parts: readonly Part[]): SumOfParts {
  const sum = (key: keyof Part): number => parts.reduce((all, part) => all + (part[key] as number), 0);
  const max = (key: "mostAttempts" | "mostToldMs" | "longestAwayMs" | "lastBackAtMs" | "lastCaughtUpAtMs"): number =>
    Math.max(0, ...parts.map((part) => part[key]));
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
    mostAttempts: max("mostAttempts"),
    mostToldMs: max("mostToldMs"),
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
