/**
 * Wishes that cannot be fulfilled together on this host, found before anything is written. Reads, changes nothing.
 * What tune can only learn by trying (a value that the kernel refuses) is not here but in the rows of its report.
 */
import type { Host } from "../kernel/proc-sys.js";
import { type Plan, processNofile, tcpQueueWantedPages } from "../plan.js";
import { nextValue, parsePorts } from "../rules.js";
import { SETTINGS } from "../settings.js";

const grouped = (n: number): string => n.toLocaleString("en-US");

/** Sentences with their remedies; empty where the plan can be had. */
export function contradictions(plan: Plan, host: Host, allowLowering: boolean): string[] {
  return [
    ...nofileAboveNrOpen(plan, host),
    ...nofileBelowPresent(plan, allowLowering),
    ...tcpMemBeyondRam(plan),
    ...portsUnreserved(plan, host),
  ];
}

/** setrlimit refuses such a limit, and pam_limits then refuses the login. */
function nofileAboveNrOpen(plan: Plan, host: Host): string[] {
  const wanted = processNofile(plan);
  const now = numbersOf(host, "fs.nr_open");
  if (now === undefined || Number(now) >= wanted || !cannotBeSet(host, "fs.nr_open")) return [];
  return [
    `--nofile: ${grouped(wanted)} descriptors for a process are above fs.nr_open (${grouped(Number(now))}), which cannot be raised here ` +
      `(${host.denied("fs.nr_open") ?? ""}): ask for at most ${now} with --nofile, or raise fs.nr_open on the host itself`,
  ];
}

function nofileBelowPresent(plan: Plan, allowLowering: boolean): string[] {
  if (plan.nofileWanted === undefined || plan.nofileWanted >= plan.nofile || allowLowering) return [];
  return [
    `--nofile: ${grouped(plan.nofileWanted)} is below the present hard limit of ${grouped(plan.nofile)}: leave it out to keep that, or say --allow-lowering`,
  ];
}

function tcpMemBeyondRam(plan: Plan): string[] {
  const bytes = tcpQueueWantedPages(plan) * plan.pageBytes;
  if (bytes <= plan.memoryBytes) return [];
  const gigabytes = (n: number): string => `${(n / 1e9).toFixed(1)} GB`;
  const fitting = Math.floor((plan.connections * plan.memoryBytes) / bytes);
  return [
    `net.ipv4.tcp_mem: the queues of ${grouped(plan.connections)} connections may need ${gigabytes(bytes)}, this host has ${gigabytes(plan.memoryBytes)}: ` +
      `ask for fewer with --connections (${grouped(fitting)} at the very most), or add memory`,
  ];
}

/** A port of the gateway that the kernel may hand out to some outgoing connection, and that cannot be kept from it. */
function portsUnreserved(plan: Plan, host: Host): string[] {
  const reserved = numbersOf(host, "net.ipv4.ip_local_reserved_ports");
  if (reserved !== undefined && !cannotBeSet(host, "net.ipv4.ip_local_reserved_ports")) return [];
  const range = rangeAfterwards(plan, host);
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

function rangeAfterwards(plan: Plan, host: Host): readonly [number, number] | undefined {
  const key = "net.ipv4.ip_local_port_range";
  const now = numbersOf(host, key);
  const setting = SETTINGS.find((row) => row.key === key);
  if (now === undefined || setting === undefined) return undefined;
  const widened = setting.when?.needed(plan) !== false && !cannotBeSet(host, key);
  const text = widened ? (nextValue(setting.wants(plan), now) ?? now) : now;
  const [low = 0, high = 0] = text.split(/\s+/).map(Number);
  return [low, high];
}

function numbersOf(host: Host, key: string): string | undefined {
  const reading = host.read(key);
  return "text" in reading && /^[\d\s,-]*$/.test(reading.text) ? reading.text : undefined;
}

/** For root: without root everything is refused, and saying so is the report's part. */
const cannotBeSet = (host: Host, key: string): boolean => host.isRoot && host.denied(key) !== undefined;
