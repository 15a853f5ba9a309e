/**
 * Finds what this host cannot give to the plan, before anything is written. Reads only. Runs in the command line.
 * What tune learns only by trying (a value that the kernel refuses) is not here but in the rows of its report.
 */
import type { ProcSys } from "../kernel/proc-sys.js";
import { type KernelPlan, processNofile, tcpQueueWantedPages } from "../plan.js";
import { nextValue, parsePorts } from "../rules.js";
import { SETTINGS } from "../settings.js";

const grouped = (n: number): string => n.toLocaleString("en-US");

/** Sentences with their remedies; empty where the host can have the plan. */
export function contradictions(plan: KernelPlan, procSys: ProcSys, allowLowering: boolean): string[] {
  return [
    ...nofileAboveNrOpen(plan, procSys),
    ...nofileBelowPresent(plan, allowLowering),
    ...tcpMemBeyondRam(plan),
    ...portsUnreserved(plan, procSys),
  ];
}

/** setrlimit refuses such a limit, and pam_limits then refuses the login. */
function nofileAboveNrOpen(plan: KernelPlan, procSys: ProcSys): string[] {
  const wanted = processNofile(plan);
  const now = numbersOf(procSys, "fs.nr_open");
  if (now === undefined || Number(now) >= wanted || !cannotBeSet(procSys, "fs.nr_open")) return [];
  return [
    `--nofile: ${grouped(wanted)} descriptors for a process are above fs.nr_open (${grouped(Number(now))}), which cannot be raised here ` +
      `(${procSys.denied("fs.nr_open") ?? ""}): ask for at most ${now} with --nofile, or raise fs.nr_open on the host itself`,
  ];
}

function nofileBelowPresent(plan: KernelPlan, allowLowering: boolean): string[] {
  if (plan.nofileWanted === undefined || plan.nofileWanted >= plan.nofile || allowLowering) return [];
  return [
    `--nofile: ${grouped(plan.nofileWanted)} is below the present hard limit of ${grouped(plan.nofile)}: leave it out to keep that, or add --allow-lowering`,
  ];
}

function tcpMemBeyondRam(plan: KernelPlan): string[] {
  const bytes = tcpQueueWantedPages(plan) * plan.pageBytes;
  if (bytes <= plan.memoryBytes) return [];
  const gigabytes = (n: number): string => `${(n / 1e9).toFixed(1)} GB`;
  const maxConnections = Math.floor((plan.connections * plan.memoryBytes) / bytes);
  return [
    `net.ipv4.tcp_mem: the queues of ${grouped(plan.connections)} connections may need ${gigabytes(bytes)}, this host has ${gigabytes(plan.memoryBytes)}: ` +
      `ask for fewer with --connections (${grouped(maxConnections)} at most), or add memory`,
  ];
}

/** Ports of the gateway that the kernel may give to an outgoing connection, and that cannot be reserved. */
function portsUnreserved(plan: KernelPlan, procSys: ProcSys): string[] {
  const reserved = numbersOf(procSys, "net.ipv4.ip_local_reserved_ports");
  if (reserved !== undefined && !cannotBeSet(procSys, "net.ipv4.ip_local_reserved_ports")) return [];
  const range = rangeAfterwards(plan, procSys);
  if (range === undefined) return [];
  const kept = parsePorts(reserved ?? "");
  const [low, high] = range;
  const exposed = plan.listenPorts.filter((port) => port >= low && port <= high && !kept.has(port));
  if (exposed.length === 0) return [];
  return [
    `--ports: ${exposed.join(", ")} within the ephemeral range ${low}–${high}, and net.ipv4.ip_local_reserved_ports cannot be set here: ` +
      `an outgoing connection may take the port. Choose ports below ${low}, or reserve them on the host itself`,
  ];
}

function rangeAfterwards(plan: KernelPlan, procSys: ProcSys): readonly [number, number] | undefined {
  const key = "net.ipv4.ip_local_port_range";
  const now = numbersOf(procSys, key);
  const setting = SETTINGS.find((row) => row.key === key);
  if (now === undefined || setting === undefined) return undefined;
  const widened = setting.when?.needed(plan) !== false && !cannotBeSet(procSys, key);
  const text = widened ? (nextValue(setting.wants(plan), now) ?? now) : now;
  const [low = 0, high = 0] = text.split(/\s+/).map(Number);
  return [low, high];
}

function numbersOf(procSys: ProcSys, key: string): string | undefined {
  const reading = procSys.read(key);
  return "text" in reading && /^[\d\s,-]*$/.test(reading.text) ? reading.text : undefined;
}

/** For root only: without root every write is refused, and the report says that. */
const cannotBeSet = (procSys: ProcSys, key: string): boolean => procSys.isRoot && procSys.denied(key) !== undefined;
