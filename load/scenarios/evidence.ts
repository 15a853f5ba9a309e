/**
 * What a scenario adds to the evidence: one shape for all scenarios, with null where a field does not apply, so that runs can
 * be compared. Types only; the field names are public (megagate.evidence.v1).
 */
import type { Tally } from "../generator/messages.js";
import type { ReconnectPolicy } from "../reconnects/steps.js";
import type { ScenarioName } from "./options.js";

export interface LatencyEvidence {
  readonly pushes: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** By the second of the window in which the pushes were published; at most 60 seconds. */
  readonly p99BySecondMs: readonly (number | null)[];
}

export interface SoakSample {
  readonly atSeconds: number;
  readonly open: number;
  readonly gatewayBytes: number | null;
  readonly freeBytes: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface ScenarioEvidence {
  readonly name: ScenarioName;
  readonly reconnect: ReconnectPolicy;
  readonly reconnectSeconds: number | null;
  readonly topics: number;
  readonly publications: {
    readonly perSecond: number;
    readonly bytes: number;
    readonly published: number;
    readonly failed: Tally;
  };
  /** Processes that got SIGKILL. */
  readonly killedWorkers: number;
  /** restart: the gateway's own report on its rolling restart; null in other scenarios. */
  readonly rolled: {
    readonly state: string;
    readonly replaced: number;
    readonly of: number;
    readonly seconds: number;
    /** Connections of the fullest worker, polled four times a second, and the cap at which a worker stops listening. */
    readonly fullestWorker: number;
    readonly workerCap: number;
  } | null;
  readonly workers: number;
  /** Connections that stopped reading for a while. */
  readonly paused: number;
  readonly returns: {
    /** Ends of open connections, by reason ("cut" and "left" are the clients' own), and how many came back. */
    readonly ends: Tally;
    readonly departures: number;
    readonly returned: number;
    /** Not back at the end, and those that do not reconnect at all. */
    readonly away: number;
    readonly gone: number;
    /** From the event to the last return, and until the last of them had received all it had missed; null without an event. */
    readonly backSeconds: number | null;
    readonly settleSeconds: number | null;
    /** The clients' first pause, their own or the gateway's; the longer of it and departures over the accept rate. */
    readonly firstPauseSeconds: number;
    readonly predictedSeconds: number | null;
    readonly acceptPerSecond: number;
    readonly acceptRateFrom: "ramp" | "gateway";
    readonly peakPerSecond: number;
    /** Returns in each second after the event. */
    readonly bySecond: readonly number[];
    /** Failed attempts to come back; each was followed by another. */
    readonly refusals: Tally;
    readonly longestAwaySeconds: number;
    readonly mostAttempts: number;
    readonly awayP50Ms: number | null;
    readonly awayP99Ms: number | null;
  };
  readonly messages: {
    readonly delivered: number;
    readonly duplicates: number;
    /** Places at which pushes were missing without an announcement, how many pushes, and how many were lacking at the end. */
    readonly gaps: number;
    readonly lost: number;
    readonly behindConnections: number;
    readonly behindMessages: number;
    /** Not received, but announced: by `dropped`, by `prev`, by `reset` or by an answer with `recovered:false`. */
    readonly dropped: number;
    readonly replaced: number;
    readonly voided: number;
    readonly resets: number;
  };
  /** Of connections that the scenario left alone. */
  readonly latency: { readonly before: LatencyEvidence; readonly during: LatencyEvidence };
  /** The kernel's counters over the scenario: of the whole host (network namespace). */
  readonly kernel: {
    readonly listenOverflows: number;
    readonly listenDrops: number;
    readonly requestQueueDrops: number;
    readonly synRetransmits: number;
  };
  readonly gateway: {
    readonly notReadySeconds: number;
    readonly restarts: number;
    readonly refused: Tally;
    readonly unsent: Tally;
    /** Private memory of its processes; null where it cannot be read. */
    readonly bytesBefore: number | null;
    readonly bytesDuring: number | null;
    readonly bytesPerPaused: number | null;
  };
  /** soak: the samples, and the growth of memory by the least-squares line through them. */
  readonly samples: readonly SoakSample[];
  readonly growthPerHour: number | null;
}
