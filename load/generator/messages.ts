/**
 * What coordinator and generators say to each other over the fork's channel: orders down, reports up. Plain data only,
 * in discriminated unions, and the sums over what several generators counted. Runs in both.
 */

import type { Part, ReturnDuty, Step } from "../reconnects/steps.js";
import type { EncodedHistogram } from "./histogram.js";

/** All that a generator needs to know; given once, before anything else. */
export interface GeneratorConfig {
  readonly connections: number;
  /** Local addresses to connect from; empty leaves the choice to the kernel. */
  readonly sources: readonly string[];
  /** The port range each socket asks for by itself; null leaves the system's way. */
  readonly portRange: readonly [number, number] | null;
  readonly address: string;
  readonly port: number;
  /** The Host header, and the path with its query. */
  readonly host: string;
  readonly path: string;
  /** Where the connection's number stands in the path; −1 where there is none. */
  readonly numberAt: number;
  /** One topic name, or with `{n}` one for each connection. */
  readonly topic: string;
  /** Number of the first connection of this generator, of `ofAll` in the whole run. */
  readonly first: number;
  readonly ofAll: number;
  readonly run: string;
  /** Publications of each broadcast. */
  readonly broadcastMessages: number;
  readonly connectTimeoutMs: number;
  /** Scenarios only: connections come back, and remember where they stood. */
  readonly reconnects?: ReturnDuty;
}

export type Command =
  | { readonly kind: "duty"; readonly config: GeneratorConfig }
  /** Begin to connect; `ratePerSecond` 0 is unbounded. */
  | { readonly kind: "ramp"; readonly ratePerSecond: number; readonly inFlight: number }
  /** Begin no more connections, and give up those that are not open. */
  | { readonly kind: "halt" }
  | { readonly kind: "heartbeats"; readonly perConnection: number; readonly overMs: number }
  /** Scenarios only. */
  | { readonly kind: "step"; readonly step: Step }
  /** Report on all handshakes or heartbeats so far, on broadcast `n`, or on a scenario's window. */
  | { readonly kind: "collect"; readonly subject: Subject }
  /** Close every connection in an orderly way; what is not closed after `withinMs` is cut. */
  | { readonly kind: "close"; readonly withinMs: number };

export type Subject = "handshakes" | "heartbeats" | { readonly broadcast: number } | { readonly window: number };

/** How often something happened, by its reason. */
export type Tally = Record<string, number>;

export interface Counts {
  /** Open now: handshake verified, subscription answered. */
  open: number;
  /** Begun and not open yet. */
  inFlight: number;
  /** Not open and not given up: in flight, to be begun, or to be retried. */
  pending: number;
  /** Descriptors held, open or not. */
  held: number;
  /** Scenarios: connections that are to come back, and open ones that have not got yet what they missed. */
  away: number;
  owing: number;
  /** Failed attempts. */
  failed: Tally;
  /** Attempts begun again after a failed one. */
  retries: number;
  /** Connections given up after the last retry. */
  abandoned: number;
  /** Open connections that ended without being asked to, by close code or error. */
  unexpectedCloses: Tally;
  heartbeatsSent: number;
  heartbeatsAnswered: number;
  /** First receipts of this run's broadcasts, over all of them. */
  delivered: number;
  /** Pushes received twice, and pushes missed, over all broadcasts. */
  duplicates: number;
  gaps: number;
  /** Messages that no subscriber should get: error answers, unknown texts. */
  odd: Tally;
}

export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "counts"; readonly counts: Counts }
  | {
      readonly kind: "collected";
      readonly subject: Subject;
      readonly histogram: EncodedHistogram;
      readonly delivered: number;
      readonly duplicates: number;
      readonly lastAtMs: number;
      /** Of a scenario's window. */
      readonly part?: Part;
    };

export const noCounts = (): Counts => ({
  open: 0,
  inFlight: 0,
  pending: 0,
  held: 0,
  away: 0,
  owing: 0,
  failed: {},
  retries: 0,
  abandoned: 0,
  unexpectedCloses: {},
  heartbeatsSent: 0,
  heartbeatsAnswered: 0,
  delivered: 0,
  duplicates: 0,
  gaps: 0,
  odd: {},
});

export function count(tally: Tally, reason: string): void {
  tally[reason] = (tally[reason] ?? 0) + 1;
}

export const tallied = (tally: Tally): number => Object.values(tally).reduce((sum, n) => sum + n, 0);

/** The sum of what several generators counted. */
export function addCounts(all: readonly Counts[]): Counts {
  const sum = noCounts();
  for (const counts of all) {
    for (const [key, value] of Object.entries(counts) as [keyof Counts, number | Tally][]) {
      if (typeof value === "number") (sum[key] as number) += value;
      else for (const [reason, n] of Object.entries(value)) addTo(sum[key] as Tally, reason, n);
    }
  }
  return sum;
}

function addTo(tally: Tally, reason: string, n: number): void {
  tally[reason] = (tally[reason] ?? 0) + n;
}
