/**
 * What is left of the limits that consist of several numbers: tasks, ports, tracked connections. Pure; count-limits.ts has the
 * rows that use it, and explanations.ts the texts.
 */

import type { MachineFacts } from "../kernel/facts.js";
import type { Need } from "../remedies/remedies.js";
import type { DoctorPlan } from "./ceiling.js";
import { hasServer, numberOf, numbersOf, tasksOf } from "./demand.js";

interface TaskLimit {
  readonly left: number;
  readonly limit: number;
  readonly used: number;
  readonly source: "kernel.pid_max" | "kernel.threads-max" | "nproc" | "pids.max";
  /** The remedy for this many more tasks. */
  readonly need: (more: number) => Need;
}

/** The tightest of the machine's, the user's and the control group's limit; undefined where none can be read. */
export function tightestTasks(facts: MachineFacts): TaskLimit | undefined {
  const { running, ofUser, group } = facts.tasks;
  const limits: TaskLimit[] = [];
  for (const source of ["kernel.pid_max", "kernel.threads-max"] as const) {
    const limit = numberOf(facts, source);
    if (limit === undefined) continue;
    const need = (more: number): Need => {
      const value = String(Math.max(32_768, running + more));
      return { kind: "sysctl", key: source, value, scope: "host" };
    };
    limits.push({ left: limit - running, limit, used: running, source, need });
  }
  const tasks =
    (used: number) =>
    (more: number): Need => ({ kind: "tasks", value: used + more });
  // Root, and every process that may raise limits, is exempt. Not all running tasks are this user's: a safe estimate.
  if (ofUser !== null && !facts.raisesLimits && !facts.opensBeyondFileMax) {
    limits.push({ left: ofUser - running, limit: ofUser, used: running, source: "nproc", need: tasks(running) });
  }
  if (group !== null) {
    const { limit, used } = group;
    limits.push({ left: limit - used, limit, used, source: "pids.max", need: tasks(used) });
  }
  return limits.toSorted((a, b) => a.left - b.left)[0];
}

export function tasksNeed(facts: MachineFacts, plan: DoctorPlan): Need | null {
  const more = Math.ceil((tasksOf(plan.connections, facts, plan) * 11) / 10);
  return tightestTasks(facts)?.need(more) ?? null;
}

/** Ports that connect() may choose, for each pair of source and destination address. */
export function portsOfPair(facts: MachineFacts): number | null {
  const range = numbersOf(facts, "net.ipv4.ip_local_port_range");
  const [low, high] = range ?? [];
  return low === undefined || high === undefined ? null : high - low + 1 - facts.portsReserved;
}

/** 127.0.0.0/8 has more addresses than any run needs, and the load generator takes them by itself. */
export const onLoopback = (plan: DoctorPlan): boolean => hasServer(plan) && plan.sources === 0;

export function portsAvailable(facts: MachineFacts, plan: DoctorPlan): number | null {
  if (onLoopback(plan)) return Number.POSITIVE_INFINITY;
  const ports = portsOfPair(facts);
  return ports && ports * Math.max(1, plan.sources) * plan.destinations;
}

/** Traffic that leaves our network namespace crosses another one, which is not visible here and may track it as well. */
export const hasHiddenNetwork = (facts: MachineFacts, plan: DoctorPlan): boolean =>
  facts.ownNetwork && plan.side !== "both";

/** Free entries of the connection-tracking table; Infinity where nothing is tracked, null where that is unknown. */
export function flowsAvailable(facts: MachineFacts, plan: DoctorPlan): number | null {
  const { tracking } = facts;
  if (tracking === null) return Number.POSITIVE_INFINITY;
  const max = numberOf(facts, "net.netfilter.nf_conntrack_max");
  // A maximum of 0 means no limit to the kernel (nf_conntrack_core.c).
  if (max === 0 && !hasHiddenNetwork(facts, plan)) return Number.POSITIVE_INFINITY;
  if (tracking.live === true) return max === undefined ? null : max - tracking.entries;
  if (tracking.live === null || hasHiddenNetwork(facts, plan)) return null;
  return Number.POSITIVE_INFINITY;
}
