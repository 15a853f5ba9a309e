/**
 * The messages between coordinator and generators over the fork's channel: commands down, reports up. Plain data only, in
 * unions that `type` discriminates, and the sums over what several generators counted. Runs in both.
 */
import type { ReconnectConfig, ScenarioPart, Step } from "../reconnects/steps.js";
import type { EncodedHistogram } from "./histogram.js";

/** The whole configuration of a generator; sent once, before anything else. */
export interface GeneratorConfig {
  readonly connections: number;
  /** Local addresses to connect from; empty leaves the choice to the kernel. */
  readonly sources: readonly string[];
  /** The port range that each socket asks for (IP_LOCAL_PORT_RANGE); null leaves the choice to the system. */
  readonly portRange: readonly [number, number] | null;
  readonly address: string;
  readonly port: number;
  /** The Host header, and the path with its query. */
  readonly host: string;
  readonly path: string;
  /** Position of the connection's number in the path; −1 where there is none. */
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
  /** Scenarios only: connections reconnect, and remember their positions. */
  readonly reconnects?: ReconnectConfig;
}

export type GeneratorCommand =
  | { readonly type: "configure"; readonly config: GeneratorConfig }
  /** Begin to connect; `ratePerSecond` 0 is without limit. */
  | { readonly type: "ramp"; readonly ratePerSecond: number; readonly inFlight: number }
  /** Begin no more connections, and abandon those that are not open. */
  | { readonly type: "halt" }
  | { readonly type: "heartbeats"; readonly perConnection: number; readonly overMs: number }
  /** Scenarios only. */
  | { readonly type: "step"; readonly step: Step }
  /** Report on all handshakes or heartbeats so far, on broadcast `n`, or on a scenario's window. */
  | { readonly type: "collect"; readonly subject: Subject }
  /** Close every connection in an orderly way; what is not closed after `withinMs` is reset. */
  | { readonly type: "close"; readonly withinMs: number };

export type Subject = "handshakes" | "heartbeats" | { readonly broadcast: number } | { readonly window: number };

/** How often something happened, by its reason. */
export type Tally = Record<string, number>;

export interface GeneratorCounts {
  /** Open now: handshake verified, subscription answered. */
  open: number;
  /** Begun and not open yet. */
  inFlight: number;
  /** Not open and not abandoned: in flight, to be begun, or to be retried. */
  pending: number;
  /** Descriptors held, open or not. */
  held: number;
  /** Scenarios: connections that will reconnect, and open ones that have not received yet what they missed. */
  away: number;
  owing: number;
  /** Failed attempts. */
  failed: Tally;
  /** Attempts begun again after a failed one. */
  retries: number;
  /** Connections abandoned after the last retry. */
  abandoned: number;
  /** Open connections that ended and had not been asked to, by close code or error. */
  unexpectedCloses: Tally;
  heartbeatsSent: number;
  heartbeatsAnswered: number;
  /** First receipts of this run's broadcasts, over all of them. */
  delivered: number;
  /** Pushes received twice, and pushes missed, over all broadcasts. */
  duplicates: number;
  gaps: number;
  /** Messages that no subscriber should receive: error answers, unknown texts. */
  odd: Tally;
}

export type GeneratorReport =
  | { readonly type: "ready" }
  | { readonly type: "counts"; readonly counts: GeneratorCounts }
  | {
      readonly type: "collected";
      readonly subject: Subject;
      readonly histogram: EncodedHistogram;
      readonly delivered: number;
      readonly duplicates: number;
      readonly lastAtMs: number;
      /** Of a scenario's window. */
      readonly part?: ScenarioPart;
    };

export const noCounts = (): GeneratorCounts => ({
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
export function addCounts(all: readonly GeneratorCounts[]): GeneratorCounts {
  const sum = noCounts();
  for (const counts of all) {
    for (const [key, value] of Object.entries(counts) as [keyof GeneratorCounts, number | Tally][]) {
      if (typeof value === "number") (sum[key] as number) += value;
      else for (const [reason, n] of Object.entries(value)) addTo(sum[key] as Tally, reason, n);
    }
  }
  return sum;
}

function addTo(tally: Tally, reason: string, n: number): void {
  tally[reason] = (tally[reason] ?? 0) + n;
}
