/**
 * The evidence of a run: what was asked for, what was counted, and the verdict. Pure; runs in the coordinator. Its field names
 * are public (megagate.evidence.v1). "held" needs all that was asked for, to the last socket; each failure is one reason.
 */
import { type Plateau, plateauInWords } from "../attribution/plateau.js";
import { type GeneratorCounts, type Tally, tallied } from "../generator/messages.js";
import type { ScenarioEvidence } from "../scenarios/evidence.js";

export interface BroadcastEvidence {
  readonly bytes: number;
  /** Topics that it was published to: 1, or one for each connection. */
  readonly topics: number;
  /** Publications to each topic, in one request. */
  readonly messages: number;
  /** Receipts: connections open when it was published, times its publications. */
  readonly expected: number;
  readonly delivered: number;
  readonly duplicates: number;
  /** From just before the publish request to the receipt by the last connection; null when none received it. */
  readonly lastSubscriberMs: number | null;
  /** Receipts over that time. */
  readonly deliveriesPerSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface GatewayCount {
  /** The gateway's own count, less the connections that it held before the run. */
  readonly processes: number;
  readonly metrics: number;
  readonly scrapeMs: number;
}

export interface Evidence {
  readonly schema: "megagate.evidence.v1";
  readonly startedAt: string;
  readonly url: string;
  readonly host: {
    readonly kernel: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly nofileHard: number;
    readonly node: string;
  };
  readonly plan: {
    readonly workers: number | null;
    readonly generators: number;
    readonly sourceAddresses: readonly string[];
    readonly inFlight: number;
  };
  readonly target: number;
  readonly open: number;
  /** Failed attempts, by reason; most are retried. */
  readonly failed: Tally;
  readonly retries: number;
  readonly abandoned: number;
  readonly rampSeconds: number;
  readonly connectPerSecond: number;
  readonly handshakes: { readonly p50Ms: number | null; readonly p99Ms: number | null };
  readonly holdSeconds: number;
  readonly unexpectedCloses: number;
  readonly unexpectedCloseReasons: Tally;
  readonly gatewayCount: GatewayCount | null;
  readonly heartbeats: {
    readonly asked: number;
    readonly sent: number;
    readonly answered: number;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
  };
  readonly broadcasts: readonly BroadcastEvidence[];
  readonly gaps: number;
  readonly oddMessages: Tally;
  readonly memory: {
    readonly userBytesPerConnection: number | null;
    /** The hub process's part of it. */
    readonly hubBytesPerConnection: number | null;
    /** The same after the broadcasts, which topics then remember. */
    readonly afterBroadcasts: {
      readonly userBytesPerConnection: number | null;
      readonly hubBytesPerConnection: number | null;
    };
    readonly kernelBytesPerConnection: number | null;
    readonly generatorBytesPerConnection: number | null;
    readonly baseBytes: number | null;
    readonly minFreeBytes: number;
    readonly notes: readonly string[];
  };
  /** [seconds since the ramp began, open connections]. */
  readonly ramp: readonly (readonly [number, number])[];
  /** Where the ramp went flat, and the mechanisms that caused it; null when it did not. */
  readonly plateau: Plateau | null;
  /** The findings of a scenario; absent in a steady run. */
  readonly scenario?: ScenarioEvidence;
  readonly verdict: "held" | "not held" | "stopped";
  readonly reasons: readonly string[];
  /** Times that were too long, where the verdict does not depend on them. */
  readonly remarks: readonly string[];
}

/** What the coordinator found, for the verdict. */
export interface Findings {
  readonly target: number;
  readonly open: number;
  /** Counted until the orderly close began. */
  readonly counts: GeneratorCounts;
  readonly heartbeatsAsked: number;
  readonly broadcastsAsked: number;
  readonly broadcasts: readonly BroadcastEvidence[];
  readonly gatewayCount: GatewayCount | null;
  readonly plateau: Plateau | null;
  readonly stop: { readonly type: string; readonly text: string } | undefined;
  /** Reasons found during the run: a stalled ramp, a dead generator, a refused publication. */
  readonly complaints: readonly string[];
}

/** A scrape that takes longer is a remark, or with --strict a reason; whether its count is exact always counts. */
const SCRAPE_LIMIT_MS = 1000;

/** Judges counts and losses. Times depend on what else the machine does: they are remarks, or with `strict` reasons. */
export function judge(findings: Findings, strict: boolean): Pick<Evidence, "verdict" | "reasons" | "remarks"> {
  const { stop } = findings;
  const late = timeFaults(findings);
  const reasons = [
    ...(strict ? late : []),
    ...(stop ? [stop.text] : []),
    ...findings.complaints,
    ...openingFaults(findings),
    ...heartbeatFaults(findings),
    ...broadcastFaults(findings),
    ...countFaults(findings),
  ];
  const remarks = strict ? [] : late;
  if (stop?.type === "signal") return { verdict: "stopped", reasons, remarks };
  return { verdict: reasons.length === 0 ? "held" : "not held", reasons, remarks };
}

const grouped = (n: number): string => n.toLocaleString("en-US");

/** "ETIMEDOUT 12, http_503 3", the most frequent first. */
export function describeTally(tally: Tally): string {
  return Object.entries(tally)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, n]) => `${reason} ${grouped(n)}`)
    .join(", ");
}

function openingFaults({ target, open, counts, plateau }: Findings): string[] {
  const faults: string[] = [];
  if (open < target) {
    const why = describeTally(counts.failed);
    faults.push(`${grouped(open)} of ${grouped(target)} connections opened${why ? `; failed attempts: ${why}` : ""}`);
    if (plateau && plateau.causes.length > 0) faults.push(plateauInWords(plateau));
  }
  const closed = tallied(counts.unexpectedCloses);
  if (closed > 0) {
    faults.push(`${grouped(closed)} open connections ended unexpectedly: ${describeTally(counts.unexpectedCloses)}`);
  }
  const odd = tallied(counts.odd);
  if (odd > 0) faults.push(`${grouped(odd)} messages that no subscriber should receive: ${describeTally(counts.odd)}`);
  return faults;
}

function heartbeatFaults({ counts, heartbeatsAsked }: Findings): string[] {
  const { heartbeatsSent: sent, heartbeatsAnswered: answered } = counts;
  const faults: string[] = [];
  if (sent < heartbeatsAsked) faults.push(`${grouped(sent)} of ${grouped(heartbeatsAsked)} heartbeats could be sent`);
  if (answered < sent) faults.push(`${grouped(sent - answered)} of ${grouped(sent)} heartbeats were not answered`);
  return faults;
}

function broadcastFaults({ broadcasts, broadcastsAsked, counts, stop }: Findings): string[] {
  const faults: string[] = [];
  for (const [i, { delivered, duplicates, expected }] of broadcasts.entries()) {
    if (delivered < expected) {
      faults.push(`broadcast ${i + 1} was received ${grouped(delivered)} of ${grouped(expected)} times`);
    }
    if (duplicates > 0) faults.push(`broadcast ${i + 1} was received twice ${grouped(duplicates)} times`);
  }
  if (counts.gaps > 0) faults.push(`${grouped(counts.gaps)} gaps in the offsets that connections received`);
  if (broadcasts.length < broadcastsAsked && !stop) {
    faults.push(`${broadcasts.length} of ${broadcastsAsked} broadcasts were published`);
  }
  return faults;
}

function countFaults({ gatewayCount, open }: Findings): string[] {
  if (!gatewayCount) return [];
  const { processes, metrics } = gatewayCount;
  const faults: string[] = [];
  if (processes !== open)
    faults.push(`the gateway counted ${grouped(processes)} connections, ${grouped(open)} were open`);
  if (metrics !== open) faults.push(`its metrics said ${grouped(metrics)} connections, ${grouped(open)} were open`);
  return faults;
}

function timeFaults({ gatewayCount }: Findings): string[] {
  if (!gatewayCount || gatewayCount.scrapeMs < SCRAPE_LIMIT_MS) return [];
  return [`a scrape of its metrics took ${Math.round(gatewayCount.scrapeMs)} ms`];
}

/** Exit status of the command: 0 held, 1 not held, 130 interrupted by a signal. */
export function exitStatus(verdict: Evidence["verdict"]): number {
  return { held: 0, "not held": 1, stopped: 130 }[verdict];
}
