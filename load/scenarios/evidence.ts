/**
 * What a scenario adds to the evidence: one shape for all, with null where it does not apply, so that runs can be
 * compared. Types only.
 */
import type { Tally } from "../generator/messages.js";
import type { ReturnPolicy } from "../reconnects/steps.js";
import type { ScenarioName } from "./options.js";

export interface LatencyEvidence {
  readonly pushes: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Of what was published in each second of the window, at most 60 of them. */
  readonly p99BySecondMs: readonly (number | null)[];
}

export interface Sample {
  readonly atSeconds: number;
  readonly open: number;
  readonly gatewayBytes: number | null;
  readonly freeBytes: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface ScenarioEvidence {
  readonly name: ScenarioName;
  readonly reconnect: ReturnPolicy;
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
  /** restart: what the gateway says of its rolling restart; null in other scenarios. */
  readonly rolled: {
    readonly state: string;
    readonly replaced: number;
    readonly of: number;
    readonly seconds: number;
    /** Connections of the fullest worker, looked at four times a second, and at how many one takes no more. */
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
    /** Not back in the end, and staying away for good. */
    readonly away: number;
    readonly gone: number;
    /** From the event to the last return, and to the last of them that had all it had missed; null without an event. */
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
    /** Places at which pushes were missing without a word, how many pushes, and how many the ends still lacked. */
    readonly gaps: number;
    readonly lost: number;
    readonly behindConnections: number;
    readonly behindMessages: number;
    /** Not received, but told: by `dropped`, by `prev`, by `reset` or an answer that was not recovered. */
    readonly dropped: number;
    readonly replaced: number;
    readonly voided: number;
    readonly resets: number;
  };
  /** Of connections that nothing happened to. */
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
  /** soak: one a sample, and the growth of memory by the line through them. */
  readonly samples: readonly Sample[];
  readonly growthPerHour: number | null;
}
