/**
 * Reads a machine, below a root folder, into plain `MachineFacts`: some fifty small files in one or two milliseconds. It lists no
 * descriptor folder (that leaves kernel memory for each connection, src/README.md fact 13), writes nothing and opens no socket:
 * whether connections are tracked is found out by tracking.ts and passed in. Runs in the command line and in the supervisor.
 */

import { groupMemory, groupTasks } from "../kernel/control-groups.js";
import type { MachineFacts } from "../kernel/facts.js";
import { countReserved } from "../kernel/machine.js";
import { openProcSys, type Reading } from "../kernel/proc-sys.js";
import { coresOf, processorsOf } from "../kernel/processors.js";
import { limitOf, Tree } from "../kernel/tree.js";
import { tcpQuantumBytes } from "../plan.js";
import { SETTINGS } from "../settings.js";
import { runtimeOf } from "./runtime.js";

/** Read besides the settings table: tune leaves them alone, but they bound how much a machine holds. */
const EXTRA_KEYS = ["kernel.pid_max", "kernel.threads-max"] as const;
const CAP_SYS_ADMIN = 21n;
const CAP_SYS_RESOURCE = 24n;

export function survey(root = "/", trackingLive: boolean | null = null, tree = new Tree(root)): MachineFacts {
  const procSys = openProcSys(root, tree);
  const limits = tree.text("proc/self/limits") ?? "";
  const status = tree.text("proc/self/status") ?? "";
  const settings = new Map<string, Reading>();
  for (const key of [...SETTINGS.map((setting) => setting.key), ...EXTRA_KEYS]) settings.set(key, procSys.read(key));
  const processors = processorsOf(tree);
  const pageBytes = pageBytesOf(tree.bytes("proc/self/auxv"));
  const kernel = tree.text("proc/sys/kernel/osrelease") ?? "";
  return {
    kernel,
    cores: coresOf(processors),
    processors,
    pageBytes,
    ...runtimeOf(tree),
    ownNetwork: tree.exists("proc/sys/net/core") && !tree.exists("proc/sys/net/core/netdev_max_backlog"),
    opensBeyondFileMax: hasCapability(status, CAP_SYS_ADMIN),
    raisesLimits: hasCapability(status, CAP_SYS_RESOURCE),
    nofile: pairOf(/^Max open files\s+(\S+)\s+(\S+)/m.exec(limits)),
    settings,
    filesOpen: tree.number("proc/sys/fs/file-nr") ?? 0,
    tasks: {
      running: Number(/\/(\d+)/.exec(tree.text("proc/loadavg") ?? "")?.[1] ?? 0),
      ofUser: pairOf(/^Max processes\s+(\S+)\s+(\S+)/m.exec(limits))?.soft ?? null,
      group: groupTasks(tree),
    },
    memory: memoryOf(tree.text("proc/meminfo") ?? ""),
    groupMemory: groupMemory(tree),
    tcpPagesUsed: tcpPagesUsed(tree, kernel, pageBytes),
    tracking: trackingOf(tree, trackingLive),
    portsReserved: reservedOf(tree),
    securityModules: securityModules(tree),
  };
}

/** AT_PAGESZ (6) of the auxiliary vector, pairs of 64-bit words: Node has no call for the page size, which may be 64 KiB on ARM. */
function pageBytesOf(vector: Buffer = Buffer.alloc(0)): number {
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (vector.readBigUInt64LE(at) === 6n) return Number(vector.readBigUInt64LE(at + 8));
  }
  return 4096;
}

/** The kernel counts the used memory in quanta (plan.ts), but the limit in pages. */
function tcpPagesUsed(tree: Tree, kernel: string, pageBytes: number): number {
  const quanta = Number(/^TCP:.* mem (\d+)/m.exec(tree.text("proc/net/sockstat") ?? "")?.[1] ?? 0);
  return Math.ceil((quanta * tcpQuantumBytes(kernel, pageBytes)) / pageBytes);
}

function hasCapability(status: string, bit: bigint): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}

function pairOf(match: RegExpExecArray | null): { readonly soft: number; readonly hard: number } | null {
  const [soft, hard] = [limitOf(match?.[1]), limitOf(match?.[2])];
  return soft === undefined || hard === undefined ? null : { soft, hard };
}

/** Free is MemFree and the page cache that can be dropped: MemAvailable counts pinned socket inodes too (src/README.md fact 14). */
function memoryOf(meminfo: string): MachineFacts["memory"] {
  const bytes = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(meminfo)?.[1] ?? 0);
  const totalBytes = bytes("MemTotal");
  if (totalBytes === 0) return null;
  return { totalBytes, freeBytes: bytes("MemFree") + bytes("Cached") + bytes("Buffers") - bytes("Shmem") };
}

/** The count does not exist where the module is not loaded, and then nothing is tracked here. */
function trackingOf(tree: Tree, live: boolean | null): MachineFacts["tracking"] {
  const entries = tree.number("proc/sys/net/netfilter/nf_conntrack_count");
  return entries === undefined ? null : { entries, live };
}

function reservedOf(tree: Tree): number {
  const [low = 32_768, high = 60_999] = (tree.text("proc/sys/net/ipv4/ip_local_port_range") ?? "")
    .split(/\s+/)
    .filter(Boolean)
    .map(Number);
  return countReserved(tree.text("proc/sys/net/ipv4/ip_local_reserved_ports") ?? "", low, high);
}

/** The list exists where securityfs is mounted; the two modules that cost memory for each socket show elsewhere too. */
function securityModules(tree: Tree): readonly string[] | null {
  const list = tree.text("sys/kernel/security/lsm");
  if (list !== undefined) return list.split(",").filter(Boolean);
  const found = [
    ...(tree.text("sys/fs/selinux/enforce") === undefined ? [] : ["selinux"]),
    ...(tree.text("sys/module/apparmor/parameters/enabled") === "Y" ? ["apparmor"] : []),
  ];
  return found.length > 0 ? found : null;
}
