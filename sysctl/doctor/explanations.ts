/** What is there, in words, for each limit: pure text. One sentence or two; numbers with their unit and what is in use. */
import { workerCap } from "../../src/config/capacity.js";
import type { DoctorPlan, Facts } from "../kernel/facts.js";
import * as demand from "./demand.js";
import { hasHiddenNetwork, onLoopback, portsOfPair, tightestTasks } from "./headroom.js";

/** Beyond 2^53 the kernel means "no limit": fs.file-max is 2^63 − 1 where systemd raised it. */
export const grouped = (n: number): string => (n < 2 ** 53 ? n.toLocaleString("en-US") : "no limit");
export const gigabytes = (bytes: number): string =>
  bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
const counted = (n: number, one: string): string => `${grouped(n)} ${one}${n === 1 ? "" : "s"}`;
const NOT_READ = "could not be read";

/** The numbers of one setting, as they are. */
export function setting(facts: Facts, key: string): string {
  return demand.numbersOf(facts, key)?.map(grouped).join(" ") ?? NOT_READ;
}

export function nofile({ nofile: limit }: Facts): string {
  if (limit === null) return NOT_READ;
  const each = `${grouped(limit.hard)} a process`;
  return limit.soft === limit.hard ? each : `${each} (soft ${grouped(limit.soft)}, which Node raises)`;
}

/** The limit, and what the gateway makes of it by itself. */
export function workersShown(facts: Facts, plan: DoctorPlan): string {
  if (facts.nofile === null) return NOT_READ;
  return `${nofile(facts)}: ${counted(demand.workersOf(plan.connections, facts), "worker")} for ${grouped(plan.connections)}`;
}

export function workers(facts: Facts, plan: DoctorPlan): string {
  const limit = facts.nofile;
  if (limit === null) return "The descriptor limit of this process could not be read.";
  const effective = demand.nofileFor(plan.connections, facts);
  const raised =
    effective > limit.hard ? ` (the gateway may raise its limit and does so, to ${grouped(effective)})` : "";
  const needed = demand.workersOf(plan.connections, facts);
  const cap = workerCap(effective);
  const auto = `A worker holds ${grouped(cap)}${raised}: for ${grouped(plan.connections)} the gateway starts ${counted(needed, "worker")} by itself, of ${grouped(demand.maxWorkers(facts))} at most`;
  return `${auto}; one fixed for each core (--workers ${facts.cores}) would hold ${grouped(facts.cores * cap)} together.`;
}

export function generators(facts: Facts, plan: DoctorPlan): string {
  if (facts.nofile === null) return "The descriptor limit of this process could not be read.";
  const needed = demand.generatorsOf(plan.connections, facts);
  return `megagate load starts ${counted(needed, "generator")} by itself, of ${grouped(demand.MAX_GENERATORS)} at most; one process alone would stop at ${grouped(facts.nofile.hard)}.`;
}

export const files = (facts: Facts): string =>
  `${setting(facts, "fs.file-max")}, ${grouped(facts.filesOpen)} of them open`;

export function ports(facts: Facts, plan: DoctorPlan): string {
  const each = portsOfPair(facts);
  if (each === null) return NOT_READ;
  const { sources, destinations } = plan;
  const from = onLoopback(plan) ? "as many sources as needed" : counted(Math.max(1, sources), "source");
  return `${grouped(each)} × ${from} × ${counted(destinations, "destination")}`;
}

export function portsExplained(facts: Facts, plan: DoctorPlan): string {
  const half = Math.floor((portsOfPair(facts) ?? 0) / 2);
  if (onLoopback(plan)) {
    return `megagate load takes a new address of 127.0.0.0/8 for every ${grouped(half)}: half of the range, past which connect() gets slow.`;
  }
  return `Past half of it (${grouped(half)}) each connect() searches a hundred times longer, unless the socket asks for the range itself, as megagate load does (Linux 6.3).`;
}

export function flows(facts: Facts): string {
  if (facts.tracking === null) return "not in this kernel";
  const max = demand.numberOf(facts, "net.netfilter.nf_conntrack_max");
  return `${max === 0 ? "0 (no limit)" : setting(facts, "net.netfilter.nf_conntrack_max")}, ${grouped(facts.tracking.entries)} of them used`;
}

export function flowsExplained(facts: Facts, plan: DoctorPlan): string {
  const { tracking } = facts;
  if (tracking === null) return "Connections are not tracked: the module is not loaded.";
  const beyond =
    " What leaves this network namespace may be tracked beyond it as well, at the other end of a container's bridge for instance: run this on the host itself, or give the container the host's network.";
  const hidden = hasHiddenNetwork(facts, plan) ? beyond : "";
  if (tracking.live === true) {
    return `Connection tracking is live: connections made here add entries, one each. Dead peers keep theirs for five days.${hidden}`;
  }
  if (tracking.live === null) return `Whether connections made here are tracked was not found out.${hidden}`;
  const others =
    tracking.entries === 0 ? "" : ` The ${grouped(tracking.entries)} are of other traffic, or of a rule long gone.`;
  return `Connection tracking is not live here: connections made just now on loopback added no entry.${others}${hidden}`;
}

export function tcpPages(facts: Facts): string {
  const max = demand.numbersOf(facts, "net.ipv4.tcp_mem")?.[2];
  if (max === undefined) return NOT_READ;
  const bytes = max * facts.pageBytes;
  const share = facts.memory ? `, ${Math.round((100 * bytes) / facts.memory.totalBytes)} % of memory` : "";
  return `${grouped(max)} pages (${gigabytes(bytes)}${share})`;
}

const TASK_SOURCES = {
  "kernel.pid_max": "kernel.pid_max",
  "kernel.threads-max": "kernel.threads-max",
  nproc: "this user's limit (ulimit -u)",
  "pids.max": "the control group's pids.max",
} as const;

export function tasks(facts: Facts): string {
  const tightest = tightestTasks(facts);
  if (!tightest) return NOT_READ;
  return `${grouped(tightest.limit)} by ${TASK_SOURCES[tightest.source]}, ${grouped(tightest.used)} running`;
}

export function tasksExplained(facts: Facts, plan: DoctorPlan): string {
  const needed = demand.tasksOf(plan.connections, facts, plan);
  const unit =
    facts.unit !== null && tightestTasks(facts)?.source === "pids.max" ? ` This one is TasksMax of ${facts.unit}.` : "";
  return `Threads count too: ${grouped(plan.connections)} connections take ${grouped(needed)} of them, over all processes.${unit}`;
}

/** Many processes are the price of a low descriptor limit. */
export function tasksAdvice(facts: Facts, plan: DoctorPlan): string | undefined {
  const wanted = demand.descriptorsWanted(plan.connections, facts);
  if (facts.nofile === null || facts.nofile.hard >= wanted) return undefined;
  return `# or raise the descriptor limit to ${wanted}: then ${facts.cores} workers are enough`;
}

export function groupMemory({ groupMemory: group }: Facts): string {
  if (group === null) return "no limit";
  return `${gigabytes(group.limit)}, ${gigabytes(group.used)} used (version ${group.version}, ${group.at})`;
}

export function memory({ memory: bytes }: Facts, plan: DoctorPlan): string {
  if (bytes === null) return NOT_READ;
  const floor = demand.hasClient(plan)
    ? `, ${gigabytes(demand.GENERATOR_MEMORY_FLOOR)} of it kept by megagate load`
    : "";
  return `${gigabytes(bytes.freeBytes)} free of ${gigabytes(bytes.totalBytes)}${floor}`;
}

export function bytesExplained(facts: Facts, plan: DoctorPlan): string {
  const needed = demand.bytesOf(plan.connections, facts, plan);
  const each = Math.round(needed / plan.connections);
  return `${grouped(plan.connections)} connections take ${gigabytes(needed)} by the measured model: ${grouped(each)} bytes each with their share of the processes, socket buffers in use not counted.`;
}
