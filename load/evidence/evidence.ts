/**
 * The evidence of a run: what was asked for, what was counted, and the verdict. Pure; runs in the coordinator.
 * "held" needs everything that was asked for, to the last socket; whatever did not hold is a reason in plain words.
 */
import { type Plateau, plateauInWords } from "../attribution/plateau.js";
import { type Counts, type Tally, tallied } from "../generator/messages.js";
import type { ScenarioEvidence } from "../scenarios/evidence.js";

export interface BroadcastEvidence {
  readonly bytes: number;
  /** Topics that it was published to: 1, or one for each connection. */
  readonly topics: number;
  /** Publications of it, in one request. */
  readonly messages: number;
  /** Receipts: connections open when it was published, times its publications. */
  readonly expected: number;
  readonly delivered: number;
  readonly duplicates: number;
  /** From just before the publish request to the receipt by the last connection; null when nobody received it. */
  readonly lastSubscriberMs: number | null;
  /** Receipts over that time. */
  readonly deliveriesPerSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface GatewayCount {
  /** What the gateway said of itself, less what it held before the run. */
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
    /** The same when the broadcasts are over, and topics remember them. */
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
  /** Where the ramp went flat, and which mechanisms did it; null when it did not. */
  readonly plateau: Plateau | null;
  /** What happened to the open connections; absent in a steady run. */
  readonly scenario?: ScenarioEvidence;
  readonly verdict: "held" | "not held" | "stopped";
  readonly reasons: readonly string[];
  /** Times that were longer than they should be, where the verdict does not depend on them. */
  readonly remarks: readonly string[];
}

/** What the coordinator has seen by the end, for the verdict. */
export interface Findings {
  readonly target: number;
  readonly open: number;
  /** Counted up to the moment that the orderly close began. */
  readonly counts: Counts;
  readonly heartbeatsAsked: number;
  readonly broadcastsAsked: number;
  readonly broadcasts: readonly BroadcastEvidence[];
  readonly gatewayCount: GatewayCount | null;
  readonly plateau: Plateau | null;
  readonly stop: { readonly kind: string; readonly text: string } | undefined;
  /** Reasons found on the way: a stalled ramp, a dead generator, a refused publication. */
  readonly complaints: readonly string[];
}

/** A scrape of a million connections should be cheap; that it is exact is a matter of the verdict. */
const SCRAPE_LIMIT_MS = 1000;

/** By counts and losses. Times depend on what else the machine does: they are reported, and count where `strict` asks. */
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
  if (stop?.kind === "signal") return { verdict: "stopped", reasons, remarks };
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
    faults.push(`${grouped(closed)} open connections ended unasked: ${describeTally(counts.unexpectedCloses)}`);
  }
  const odd = tallied(counts.odd);
  if (odd > 0) faults.push(`${grouped(odd)} messages that no subscriber should get: ${describeTally(counts.odd)}`);
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

/** Exit status of the command: 0 held, 1 not, 130 interrupted by a person. */
export function exitStatus(verdict: Evidence["verdict"]): number {
  return { held: 0, "not held": 1, stopped: 130 }[verdict];
}
