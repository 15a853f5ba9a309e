/** What is said of one limit. The names of limits are stable: they are label values of metrics and keys of the JSON report. */
import type { Need } from "../remedies/remedies.js";

/** Limits on how many connections fit. */
export const COUNT_LIMITS = [
  "descriptors",
  "client-descriptors",
  "nr-open",
  "file-max",
  "epoll-watches",
  "ports",
  "conntrack",
  "tcp-mem",
  "pids",
  "cgroup-memory",
  "memory",
] as const;
/** Limits on how fast connections come and go, or on what slow readers cost. tcp-mem is one of these from Linux 6.0 on. */
export const PACE_LIMITS = [
  "accept-queue",
  "syn-backlog",
  "packet-backlog",
  "listener-migration",
  "orphans",
  "unsent-bytes",
  "send-buffer",
  "reserved-ports",
  "time-wait",
  "security-modules",
] as const;

export type LimitId = (typeof COUNT_LIMITS)[number] | (typeof PACE_LIMITS)[number];
export type Side = "server" | "client" | "both";
export type Verdict = "ok" | "low" | "unknown";

export interface Ceiling {
  readonly limit: LimitId;
  /** The end of a connection that uses it up. */
  readonly side: Side;
  /** False: it bounds how fast connections come and go, not how many there are. */
  readonly counts: boolean;
  readonly verdict: Verdict;
  /** Connections that fit under it: one more fails. Null: does not bound (below MOST_CONNECTIONS), or could not be told. */
  readonly connections: number | null;
  readonly there: string;
  readonly explanation: string;
  /** What is seen when it is hit. */
  readonly symptom: string;
  readonly need: Need | null;
  /** Lines to paste or run, or a sentence; empty where nothing is to be done. */
  readonly remedy: readonly string[];
}

/** The greatest --connections of the gateway: what does not bound below it does not bound. */
export const MAX_CONNECTIONS = 100_000_000;
