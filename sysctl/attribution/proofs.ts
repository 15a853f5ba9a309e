/**
 * What a proof is, and the two kinds of it that several causes share: an error that only one limit gives, and a gateway
 * whose workers are all at their cap. Pure.
 * A proof is "proven" when the limit itself was seen to be reached or its own error came back, "likely" when a counter
 * that only this mechanism moves has grown, "possible" when nothing but the circumstances speaks for it.
 */
import type { Snapshot } from "./counters.js";

/** What there is to judge by: a run, from before its first connection until its curve went flat; or a gateway's last second. */
export interface View {
  /** Growth of each counter since the ramp began; of levels and limits, it means nothing. */
  readonly grown: Snapshot;
  /** The highest that each value was. */
  readonly peak: Snapshot;
  /** Failed attempts, by their reason. */
  readonly failed: Readonly<Record<string, number>>;
  /** Most connections open at once. */
  readonly open: number;
  readonly run: Circumstances;
  /** Its last numbers, with `refusedFull` and `restarts` since the ramp began; null when it says nothing. */
  readonly gateway: GatewayNumbers | null;
  /** Share of all cores that was busy while the curve was flat, 0 to 1. */
  readonly busy: number;
  readonly perSecond: { readonly before: number; readonly after: number };
  readonly memory: { readonly freeBytes: number; readonly floorBytes: number };
}

/** What the gateway says of itself. Any gateway may leave out any of it; what it does not say is NaN. */
export interface GatewayNumbers {
  readonly connections: number;
  readonly workers: number;
  readonly workersExpected: number;
  readonly workersListening: number;
  /** Handshakes refused because every worker was at its cap. */
  readonly refusedFull: number;
  readonly restarts: number;
  /** Connections that all its workers may hold together, and the limit that decided it; "" when it does not say. */
  readonly cap: number;
  readonly capLimit: string;
  /** Descriptors that its fullest worker has left, by the kernel's limit. */
  readonly descriptorsLeft: number;
}

/** What does not change while a run lasts. */
export interface Circumstances {
  readonly target: number;
  readonly colocated: boolean;
  readonly cores: number;
  /** 0 where a gateway looks at itself. */
  readonly generators: number;
  /** Descriptor limit of one generator. */
  readonly nofile: number;
  /** Source addresses, and the ports that each has. */
  readonly sources: number;
  readonly ports: number;
  /** Each socket asks for its whole range by itself, which has no cliff at half of it. */
  readonly wholeRange: boolean;
}

export type Certainty = "proven" | "likely" | "possible";

export interface Proof {
  readonly certainty: Certainty;
  readonly numbers: Readonly<Record<string, number>>;
  /** How many attempts or packets it cost: the greater, the more of the plateau it explains. */
  readonly weight: number;
  /** Error names and counters whose first movement tells where it began to bite. */
  readonly signs: readonly string[];
}

export interface CauseRow {
  readonly id: string;
  readonly side: "server" | "client" | "both";
  readonly title: string;
  readonly prove: (view: View) => Proof | undefined;
  readonly remedy: string;
  /** What else a load run may do about it. */
  readonly orLoad?: string;
}

const failedBy = (...names: readonly string[]): ((view: View) => number) => {
  return ({ failed }) => names.reduce((sum, name) => sum + (failed[name] ?? 0), 0);
};

/** A table or queue is taken for full this close below its limit: entries come and go while it is being read. */
const FULL = 0.995;
export const full = (level: number, limit: number): boolean => limit > 0 && level >= limit * FULL;

/** An error that only this limit gives. */
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

/** Every worker is at its cap, and the gateway says which limit made the cap. */
export function atCap(limit: string): CauseRow["prove"] {
  return (view) => {
    const { gateway } = view;
    if (!gateway || gateway.capLimit !== limit) return undefined;
    const { cap, connections, refusedFull, workersListening } = gateway;
    if (!(refusedFull > 0 || workersListening === 0) || !full(connections, cap)) return undefined;
    const numbers = { cap, "gateway's connections": connections, "refused as full": refusedFull };
    return { certainty: "proven", numbers, weight: refused(view), signs: ["http_503"] };
  };
}
