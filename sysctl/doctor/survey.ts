/**
 * Reads a machine, below a root folder, into plain `Facts`. Some fifty small files, a millisecond or two; no descriptor
 * folder is listed (that costs kernel memory for each connection, KERNEL.md §2), nothing is written and no socket opened:
 * whether connection tracking is live is asked separately (tracking.ts) and handed in.
 */

import { groupMemory, groupTasks } from "../kernel/control-groups.js";
import type { Facts } from "../kernel/facts.js";
import { countReserved } from "../kernel/machine.js";
import { openHost, type Reading } from "../kernel/proc-sys.js";
import { coresOf, processorsOf } from "../kernel/processors.js";
import { limitOf, Tree } from "../kernel/tree.js";
import { tcpQuantumBytes } from "../plan.js";
import { SETTINGS } from "../settings.js";
import { surroundingOf } from "./runtime.js";

/** Read beside those of the settings table: tune leaves them alone, but they bound what a machine holds. */
const EXTRA_KEYS = ["kernel.pid_max", "kernel.threads-max"] as const;
const CAP_SYS_ADMIN = 21n;
const CAP_SYS_RESOURCE = 24n;

export function survey(root = "/", trackingLive: boolean | null = null, tree = new Tree(root)): Facts {
  const host = openHost(root, tree);
  const limits = tree.text("proc/self/limits") ?? "";
  const status = tree.text("proc/self/status") ?? "";
  const settings = new Map<string, Reading>();
  for (const key of [...SETTINGS.map((setting) => setting.key), ...EXTRA_KEYS]) settings.set(key, host.read(key));
  const processors = processorsOf(tree);
  const pageBytes = pageBytesOf(tree.bytes("proc/self/auxv"));
  const kernel = tree.text("proc/sys/kernel/osrelease") ?? "";
  return {
    kernel,
    cores: coresOf(processors),
    processors,
    pageBytes,
    ...surroundingOf(tree),
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

/** AT_PAGESZ (6) of the auxiliary vector, pairs of 64-bit words; Node has no call for it, and ARM hosts may use 64 KiB. */
function pageBytesOf(vector: Buffer = Buffer.alloc(0)): number {
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (vector.readBigUInt64LE(at) === 6n) return Number(vector.readBigUInt64LE(at + 8));
  }
  return 4096;
}

/** The kernel counts what it keeps for sockets in quanta (plan.ts), but the limit in pages. */
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

/** Free is MemFree and the page cache that can be dropped: MemAvailable counts the pinned inodes of sockets too. */
function memoryOf(meminfo: string): Facts["memory"] {
  const bytes = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(meminfo)?.[1] ?? 0);
  const totalBytes = bytes("MemTotal");
  if (totalBytes === 0) return null;
  return { totalBytes, freeBytes: bytes("MemFree") + bytes("Cached") + bytes("Buffers") - bytes("Shmem") };
}

/** The count is absent where the module is not loaded, and then nothing is tracked here. */
function trackingOf(tree: Tree, live: boolean | null): Facts["tracking"] {
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

/** The list needs securityfs mounted; without it the two that cost memory for each socket show elsewhere. */
function securityModules(tree: Tree): readonly string[] | null {
  const list = tree.text("sys/kernel/security/lsm");
  if (list !== undefined) return list.split(",").filter(Boolean);
  const found = [
    ...(tree.text("sys/fs/selinux/enforce") === undefined ? [] : ["selinux"]),
    ...(tree.text("sys/module/apparmor/parameters/enabled") === "Y" ? ["apparmor"] : []),
  ];
  return found.length > 0 ? found : null;
}
