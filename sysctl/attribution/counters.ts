/**
 * Takes a snapshot of the kernel's own counters: what it dropped, refused or ran out of. A dozen small files, a third of a
 * millisecond. It sees the network namespace in which it runs: in a load coordinator that of the client ends (and of the gateway
 * where both run on one machine), in a supervisor that of the gateway.
 * A counter that the kernel does not have is NaN, which every comparison treats as no proof.
 */
import type { KernelFiles } from "../kernel/files.js";

/** Name here → name in /proc/net/netstat. They only grow. */
const TCP_COUNTERS = {
  listenOverflows: "TcpExt ListenOverflows",
  listenDrops: "TcpExt ListenDrops",
  requestQueueDrops: "TcpExt TCPReqQFullDrop",
  synRetransmits: "TcpExt TCPSynRetrans",
  abortsOnMemory: "TcpExt TCPAbortOnMemory",
  memoryPressures: "TcpExt TCPMemoryPressures",
} as const;

/** Name here → file that holds one number. They are limits. */
const LIMITS = {
  conntrackMax: "proc/sys/net/netfilter/nf_conntrack_max",
  orphansMax: "proc/sys/net/ipv4/tcp_max_orphans",
  filesMax: "proc/sys/fs/file-max",
  epollWatches: "proc/sys/fs/epoll/max_user_watches",
  somaxconn: "proc/sys/net/core/somaxconn",
} as const;

export interface Snapshot extends Readonly<Record<keyof typeof TCP_COUNTERS | keyof typeof LIMITS, number>> {
  readonly conntrackDrops: number;
  readonly conntrackInsertFailures: number;
  /** Packets lost because a core's queue of arrivals was full (loopback passes it too). */
  readonly softnetDrops: number;
  /** Ticks of all cores: spent, and spent on anything but idling. */
  readonly cpuTicks: number;
  readonly cpuBusyTicks: number;
  // From here on present values, not counters.
  readonly conntrackCount: number;
  readonly filesOpen: number;
  readonly orphans: number;
  /** Pages of all TCP queues together, and the number at which the kernel drops data. */
  readonly tcpPages: number;
  readonly tcpPagesMax: number;
}

export type SnapshotName = keyof Snapshot;

export function takeSnapshot(files: KernelFiles): Snapshot {
  const text = (path: string): string => files.text(path);
  const tcp = paired(text("proc/net/netstat"));
  const tracking = columns(text("proc/net/stat/nf_conntrack"));
  const sockets = text("proc/net/sockstat");
  const cpu = numbers(/^cpu +(.*)$/m.exec(text("proc/stat"))?.[1] ?? "");
  const ticks = sum(cpu.slice(0, 8));
  return {
    ...mapped(TCP_COUNTERS, (name) => tcp.get(name) ?? Number.NaN),
    ...mapped(LIMITS, (path) => Number(text(path).trim() || Number.NaN)),
    conntrackDrops: tracking("drop"),
    conntrackInsertFailures: tracking("insert_failed"),
    softnetDrops: softnetDrops(text("proc/net/softnet_stat")),
    cpuTicks: ticks,
    // idle and iowait are the fourth and fifth.
    cpuBusyTicks: ticks - (cpu[3] ?? 0) - (cpu[4] ?? 0),
    conntrackCount: Number(text("proc/sys/net/netfilter/nf_conntrack_count").trim() || Number.NaN),
    filesOpen: numbers(text("proc/sys/fs/file-nr"))[0] ?? Number.NaN,
    orphans: Number(/^TCP:.* orphan (\d+)/m.exec(sockets)?.[1] ?? Number.NaN),
    tcpPages: Number(/^TCP:.* mem (\d+)/m.exec(sockets)?.[1] ?? Number.NaN),
    tcpPagesMax: numbers(text("proc/sys/net/ipv4/tcp_mem"))[2] ?? Number.NaN,
  };
}

function mapped<K extends string>(rows: Readonly<Record<K, string>>, value: (of: string) => number): Record<K, number> {
  return Object.fromEntries(Object.entries<string>(rows).map(([name, of]) => [name, value(of)])) as Record<K, number>;
}

/** "TcpExt ListenDrops" → its number, out of pairs of lines: names, then values. */
function paired(content: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const lines = content.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [group = "", ...names] = lines[i]!.split(" ");
    const values = lines[i + 1]!.split(" ").slice(1);
    names.forEach((name, k) => {
      found.set(`${group.slice(0, -1)} ${name}`, Number(values[k]));
    });
  }
  return found;
}

/** The sum over all cores of a named column of hexadecimal numbers. */
function columns(content: string): (name: string) => number {
  const [head = "", ...lines] = content.trim().split("\n");
  const names = head.trim().split(/\s+/);
  return (name) => {
    const at = names.indexOf(name);
    if (at < 0) return Number.NaN;
    return sum(lines.map((line) => Number.parseInt(line.trim().split(/\s+/)[at] ?? "0", 16)));
  };
}

/** One line a core, hexadecimal; the second number is the drops. */
function softnetDrops(content: string): number {
  if (content === "") return Number.NaN;
  return sum(
    content
      .trim()
      .split("\n")
      .map((line) => Number.parseInt(line.split(" ")[1] ?? "0", 16)),
  );
}

const numbers = (content: string): number[] => content.trim().split(/\s+/).filter(Boolean).map(Number);
const sum = (values: readonly number[]): number => values.reduce((total, n) => total + n, 0);
