/**
 * The kernel's own counts in the present network namespace, from /proc. Synchronous on purpose: Node's file threads may still
 * be in another namespace (namespace.ts). Runs in the step process and in the command line.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface NamespaceCounters {
  /** Entries in the connection-tracking table. */
  readonly tracked: number;
  /** Packets dropped because the table was full; null where the kernel does not report it. */
  readonly dropped: number | null;
  /** TCP sockets in ESTABLISHED or CLOSE-WAIT, both ends of a connection. */
  readonly established: number;
}

export function readNamespaceCounters(): NamespaceCounters {
  const statistics = textOf("/proc/self/net/stat/nf_conntrack");
  return {
    tracked: Number(textOf("/proc/sys/net/netfilter/nf_conntrack_count") ?? 0),
    dropped: statistics === undefined ? null : sumOfColumn(statistics, "drop"),
    established: currentEstablished(textOf("/proc/self/net/snmp") ?? ""),
  };
}

/** CurrEstab of /proc/net/snmp. */
export function currentEstablished(snmp: string): number {
  const [names = [], values = []] = snmp
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("CurrEstab")] ?? 0);
}

/** The sum of one column of /proc/net/stat/nf_conntrack: hexadecimal, one row for each processor. */
export function sumOfColumn(statistics: string, column: string): number {
  const [names = [], ...rows] = statistics
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const at = names.indexOf(column);
  return at < 0 ? 0 : rows.reduce((sum, row) => sum + Number.parseInt(row[at] ?? "0", 16), 0);
}

/**
 * Entries in the first network namespace with any, this one first: nf_conntrack_max is one value for all of them.
 * Namespaces that this process may not read are left out.
 */
export function trackedAnywhere(): { tracked: number; where: string } {
  const own = Number(textOf("/proc/sys/net/netfilter/nf_conntrack_count") ?? 0);
  if (own > 0) return { tracked: own, where: "this host" };
  const seen = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const namespace = linkOf(`/proc/${pid}/ns/net`);
    if (namespace === undefined || seen.has(namespace)) continue;
    seen.add(namespace);
    // The first column is the same on every row: all entries of the namespace.
    const entries = textOf(`/proc/${pid}/net/stat/nf_conntrack`)?.split("\n")[1]?.trim().split(/\s+/)[0];
    const tracked = Number.parseInt(entries ?? "0", 16);
    if (tracked > 0) return { tracked, where: `the network namespace of process ${pid}` };
  }
  return { tracked: 0, where: "" };
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
