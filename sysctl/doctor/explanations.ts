/**
 * The texts of the doctor's report for each limit: its present value (`…Shown` or a noun) and the explanation. Pure. One sentence
 * or two; numbers with their unit and what is in use. It must not decide whether a limit is low: ceilings.ts does.
 */

import { workerCap } from "../../src/config/capacity.js";
import type { MachineFacts } from "../kernel/facts.js";
import type { DoctorPlan } from "./ceiling.js";
import * as demand from "./demand.js";
import { hasHiddenNetwork, onLoopback, portsOfPair, tightestTasks } from "./headroom.js";

/** Beyond 2^53 the kernel means "no limit": fs.file-max is 2^63 − 1 where systemd raised it. */
export const groupedOrNoLimit = (n: number): string => (n < 2 ** 53 ? n.toLocaleString("en-US") : "no limit");
export const gigabytes = (bytes: number): string =>
  bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
const counted = (n: number, one: string): string => `${groupedOrNoLimit(n)} ${one}${n === 1 ? "" : "s"}`;
const NOT_READ = "could not be read";

/** The present numbers of one setting. */
export function setting(facts: MachineFacts, key: string): string {
  return demand.numbersOf(facts, key)?.map(groupedOrNoLimit).join(" ") ?? NOT_READ;
}

export function nofile({ nofile: limit }: MachineFacts): string {
  if (limit === null) return NOT_READ;
  const each = `${groupedOrNoLimit(limit.hard)} a process`;
  return limit.soft === limit.hard ? each : `${each} (soft ${groupedOrNoLimit(limit.soft)}, which Node raises)`;
}

/** The limit, and how many workers the gateway starts under it by itself. */
export function workersShown(facts: MachineFacts, plan: DoctorPlan): string {
  if (facts.nofile === null) return NOT_READ;
  return `${nofile(facts)}: ${counted(demand.workersNeeded(plan.connections, facts), "worker")} for ${groupedOrNoLimit(plan.connections)}`;
}

export function workers(facts: MachineFacts, plan: DoctorPlan): string {
  const limit = facts.nofile;
  if (limit === null) return "The descriptor limit of this process could not be read.";
  const effective = demand.nofileFor(plan.connections, facts);
  const raised =
    effective > limit.hard ? ` (the gateway may raise its limit and does so, to ${groupedOrNoLimit(effective)})` : "";
  const needed = demand.workersNeeded(plan.connections, facts);
  const cap = workerCap(effective);
  const auto = `A worker holds ${groupedOrNoLimit(cap)}${raised}: for ${groupedOrNoLimit(plan.connections)} the gateway starts ${counted(needed, "worker")} by itself, of ${groupedOrNoLimit(demand.maxWorkers(facts))} at most`;
  return `${auto}; one fixed for each core (--workers ${facts.cores}) would hold ${groupedOrNoLimit(facts.cores * cap)} together.`;
}

export function generators(facts: MachineFacts, plan: DoctorPlan): string {
  if (facts.nofile === null) return "The descriptor limit of this process could not be read.";
  const needed = demand.generatorsNeeded(plan.connections, facts);
  return `megagate load starts ${counted(needed, "generator")} by itself, of ${groupedOrNoLimit(demand.MAX_GENERATORS)} at most; one process alone would stop at ${groupedOrNoLimit(facts.nofile.hard)}.`;
}

export const files = (facts: MachineFacts): string =>
  `${setting(facts, "fs.file-max")}, ${groupedOrNoLimit(facts.filesOpen)} of them open`;

export function ports(facts: MachineFacts, plan: DoctorPlan): string {
  const each = portsOfPair(facts);
  if (each === null) return NOT_READ;
  const { sources, destinations } = plan;
  const from = onLoopback(plan) ? "as many sources as needed" : counted(Math.max(1, sources), "source");
  return `${groupedOrNoLimit(each)} × ${from} × ${counted(destinations, "destination")}`;
}

export function portsExplained(facts: MachineFacts, plan: DoctorPlan): string {
  const half = Math.floor((portsOfPair(facts) ?? 0) / 2);
  if (onLoopback(plan)) {
    return `megagate load takes a new address of 127.0.0.0/8 for every ${groupedOrNoLimit(half)}: half of the range, past which connect() gets slow.`;
  }
  return `Past half of it (${groupedOrNoLimit(half)}) each connect() searches a hundred times longer, unless the socket asks for the range itself, as megagate load does (Linux 6.3).`;
}

export function flows(facts: MachineFacts): string {
  if (facts.tracking === null) return "not in this kernel";
  const max = demand.numberOf(facts, "net.netfilter.nf_conntrack_max");
  return `${max === 0 ? "0 (no limit)" : setting(facts, "net.netfilter.nf_conntrack_max")}, ${groupedOrNoLimit(facts.tracking.entries)} of them used`;
}

export function flowsExplained(facts: MachineFacts, plan: DoctorPlan): string {
  const { tracking } = facts;
  if (tracking === null) return "Connections are not tracked: the module is not loaded.";
  const beyond =
    " What leaves this network namespace may be tracked beyond it as well, at the other end of a container's bridge for instance: run this on the host itself, or give the container the host's network.";
  const hidden = hasHiddenNetwork(facts, plan) ? beyond : "";
  if (tracking.live === true) {
    return `Connection tracking is live: connections made here add entries, one each. Dead peers keep theirs for five days.${hidden}`;
  }
  if (tracking.live === null) return `Whether connections made here are tracked is unknown.${hidden}`;
  const others =
    tracking.entries === 0
      ? ""
      : ` The ${groupedOrNoLimit(tracking.entries)} entries come from other traffic or from a rule that no longer exists.`;
  return `Connection tracking is not live here: connections made just now on loopback added no entry.${others}${hidden}`;
}

export function tcpPages(facts: MachineFacts): string {
  const max = demand.numbersOf(facts, "net.ipv4.tcp_mem")?.[2];
  if (max === undefined) return NOT_READ;
  const bytes = max * facts.pageBytes;
  const share = facts.memory ? `, ${Math.round((100 * bytes) / facts.memory.totalBytes)} % of memory` : "";
  return `${groupedOrNoLimit(max)} pages (${gigabytes(bytes)}${share})`;
}

const TASK_SOURCES = {
  "kernel.pid_max": "kernel.pid_max",
  "kernel.threads-max": "kernel.threads-max",
  nproc: "this user's limit (ulimit -u)",
  "pids.max": "the control group's pids.max",
} as const;

export function tasks(facts: MachineFacts): string {
  const tightest = tightestTasks(facts);
  if (!tightest) return NOT_READ;
  return `${groupedOrNoLimit(tightest.limit)} by ${TASK_SOURCES[tightest.source]}, ${groupedOrNoLimit(tightest.used)} running`;
}

export function tasksExplained(facts: MachineFacts, plan: DoctorPlan): string {
  const needed = demand.tasksOf(plan.connections, facts, plan);
  const unit =
    facts.unit !== null && tightestTasks(facts)?.source === "pids.max" ? ` This one is TasksMax of ${facts.unit}.` : "";
  return `Threads count too: ${groupedOrNoLimit(plan.connections)} connections take ${groupedOrNoLimit(needed)} of them, over all processes.${unit}`;
}

/** A low descriptor limit needs many processes. */
export function tasksAdvice(facts: MachineFacts, plan: DoctorPlan): string | undefined {
  const wanted = demand.descriptorsWanted(plan.connections, facts);
  if (facts.nofile === null || facts.nofile.hard >= wanted) return undefined;
  return `# or raise the descriptor limit to ${wanted}: then ${facts.cores} workers are enough`;
}

export function groupMemoryShown({ groupMemory: group }: MachineFacts): string {
  if (group === null) return "no limit";
  return `${gigabytes(group.limit)}, ${gigabytes(group.used)} used (version ${group.version}, ${group.at})`;
}

export function memory({ memory: bytes }: MachineFacts, plan: DoctorPlan): string {
  if (bytes === null) return NOT_READ;
  const floor = demand.hasClient(plan)
    ? `, ${gigabytes(demand.GENERATOR_MEMORY_FLOOR)} of it kept by megagate load`
    : "";
  return `${gigabytes(bytes.freeBytes)} free of ${gigabytes(bytes.totalBytes)}${floor}`;
}

export function bytesExplained(facts: MachineFacts, plan: DoctorPlan): string {
  const needed = demand.bytesOf(plan.connections, facts, plan);
  const each = Math.round(needed / plan.connections);
  return `${groupedOrNoLimit(plan.connections)} connections take ${gigabytes(needed)} by the measured model: ${groupedOrNoLimit(each)} bytes each with their share of the processes, socket buffers in use not counted.`;
}
