/**
 * The question to the doctor (DoctorPlan) and its answer for one limit (DoctorCeiling). Types and names only; everything in
 * doctor/ imports them. The names of limits are stable: they are label values of metrics and values in the JSON report.
 */
import type { Need } from "../remedies/remedies.js";

/** How many connections, which ends of them are on this machine, and between how many addresses client ends connect. */
export interface DoctorPlan {
  readonly connections: number;
  readonly side: "server" | "client" | "both";
  readonly listenPorts: readonly number[];
  /** Local addresses that client ends connect from; 0 stands for as many as needed, as on loopback. */
  readonly sources: number;
  /** Pairs of address and port that client ends connect to. */
  readonly destinations: number;
  /** Connections that are open already, where a running gateway asks: what they use must not count twice. */
  readonly open: number;
}

/** Limits on how many connections the machine holds. */
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
/** Limits on how fast connections come and go, or on what slow readers cost. From Linux 6.0 on tcp-mem belongs here. */
export const RATE_LIMITS = [
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

export type LimitId = (typeof COUNT_LIMITS)[number] | (typeof RATE_LIMITS)[number];
export type Side = "server" | "client" | "both";
export type Verdict = "ok" | "low" | "unknown";

export interface DoctorCeiling {
  readonly limit: LimitId;
  /** The end of a connection that uses the limit up. */
  readonly side: Side;
  /** True: it limits how many connections there are; false: how fast they come and go. */
  readonly counts: boolean;
  readonly verdict: Verdict;
  /** The highest number of connections that it allows; null where it does not bound (below MAX_CONNECTIONS) or is unknown. */
  readonly connections: number | null;
  /** The present value, in words; `there` in the JSON report. */
  readonly current: string;
  readonly explanation: string;
  /** What an operator sees when the limit is hit. */
  readonly symptom: string;
  readonly need: Need | null;
  /** Lines to paste or run, or a sentence; empty where nothing needs to be done. */
  readonly remedy: readonly string[];
}

/** The maximum --connections of the gateway: a limit that allows as many does not bound. */
export const MAX_CONNECTIONS = 100_000_000;
