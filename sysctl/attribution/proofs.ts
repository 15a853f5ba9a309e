/**
 * What a proof is, and the two kinds that several causes share: an error that only one limit returns, and a gateway whose
 * workers are all at their cap. Pure.
 * A proof is "proven" if the limit itself was reached or its own error came back, "likely" if a counter that only this mechanism
 * moves has grown, "possible" if only the circumstances suggest it.
 */
import type { Snapshot } from "./counters.js";

/** The data to judge by: a run from before its first connection until its curve went flat, or a gateway's last second. */
export interface View {
  /** Growth of each counter since the ramp began; without meaning for present values and limits. */
  readonly grown: Snapshot;
  /** The maximum of each value. */
  readonly peak: Snapshot;
  /** Failed attempts, by their reason. */
  readonly failed: Readonly<Record<string, number>>;
  /** The maximum of connections open at once. */
  readonly open: number;
  readonly run: Circumstances;
  /** Its last metrics, with `refusedFull` and `restarts` since the ramp began; null where there are none. */
  readonly gateway: GatewayNumbers | null;
  /** Share of all cores that was busy while the curve was flat, 0 to 1. */
  readonly busy: number;
  readonly perSecond: { readonly before: number; readonly after: number };
  readonly memory: { readonly freeBytes: number; readonly floorBytes: number };
}

/** The gateway's own metrics. Another gateway may not have all of them: a missing one is NaN. */
export interface GatewayNumbers {
  readonly connections: number;
  readonly workers: number;
  readonly workersExpected: number;
  readonly workersListening: number;
  /** Handshakes refused because every worker was at its cap. */
  readonly refusedFull: number;
  readonly restarts: number;
  /** Connections that all its workers may hold together, and the limit that decided it; "" where it is unknown. */
  readonly cap: number;
  readonly capLimit: string;
  /** Descriptors that the fullest worker has left under the kernel's limit. */
  readonly descriptorsLeft: number;
}

/** What does not change while a run lasts. */
export interface Circumstances {
  readonly target: number;
  readonly colocated: boolean;
  readonly cores: number;
  /** 0 where a gateway judges itself. */
  readonly generators: number;
  /** Descriptor limit of one generator. */
  readonly nofile: number;
  /** Source addresses, and the ports of each. */
  readonly sources: number;
  readonly ports: number;
  /** Each socket sets its own port range (IP_LOCAL_PORT_RANGE), which has no cliff at half of it (src/README.md fact 5). */
  readonly wholeRange: boolean;
}

export type Certainty = "proven" | "likely" | "possible";

export interface Proof {
  readonly certainty: Certainty;
  readonly numbers: Readonly<Record<string, number>>;
  /** How many attempts or packets it cost: the larger, the more of the plateau it explains. */
  readonly weight: number;
  /** Error names and counters whose first rise marks where it began to bite. */
  readonly signs: readonly string[];
}

export interface CauseRow {
  readonly id: string;
  readonly side: "server" | "client" | "both";
  readonly title: string;
  readonly prove: (view: View) => Proof | undefined;
  readonly remedy: string;
  /** A second remedy for a load run. */
  readonly orLoad?: string;
}

const failedBy = (...names: readonly string[]): ((view: View) => number) => {
  return ({ failed }) => names.reduce((sum, name) => sum + (failed[name] ?? 0), 0);
};

/** A table or queue counts as full this close to its limit: entries come and go while it is read. */
const FULL = 0.995;
export const isAtLimit = (level: number, limit: number): boolean => limit > 0 && level >= limit * FULL;

/** Proves a limit by errors that only this limit returns. */
export function byError(names: readonly string[], numbers: (view: View) => Record<string, number>): CauseRow["prove"] {
  const count = failedBy(...names);
  return (view) => {
    const weight = count(view);
    if (weight === 0) return undefined;
    const errors = Object.fromEntries(names.filter((n) => view.failed[n]).map((n) => [n, view.failed[n]!]));
    return { certainty: "proven", numbers: { ...errors, ...numbers(view) }, weight, signs: names };
  };
}

const refused = failedBy("http_503", "ECONNREFUSED");

/** Proves that every worker is at its cap and that this limit set the cap. */
export function atCap(limit: string): CauseRow["prove"] {
  return (view) => {
    const { gateway } = view;
    if (!gateway || gateway.capLimit !== limit) return undefined;
    const { cap, connections, refusedFull, workersListening } = gateway;
    if (!(refusedFull > 0 || workersListening === 0) || !isAtLimit(connections, cap)) return undefined;
    const numbers = { cap, "gateway's connections": connections, "refused as full": refusedFull };
    return { certainty: "proven", numbers, weight: refused(view), signs: ["http_503"] };
  };
}
