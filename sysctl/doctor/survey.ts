/**
 * Reads a machine, below a root folder, into plain `Facts`. Some fifty small files, a millisecond or two; no descriptor
 * folder is listed (that costs kernel memory for each connection, KERNEL.md §2), nothing is written and no socket opened:
 * whether connection tracking is live is asked separately (tracking.ts) and handed in.
 */
import { countReserved } from "../../load/host.js";
import { openHost, type Reading } from "../host.js";
import { SETTINGS } from "../settings.js";
import type { Facts } from "./facts.js";
import { groupMemory, groupTasks } from "./groups.js";
import { surroundingOf } from "./surrounding.js";
import { limitOf, Tree } from "./tree.js";

/** Read beside those of the settings table: tune leaves them alone, but they bound what a machine holds. */
const EXTRA_KEYS = ["kernel.pid_max", "kernel.threads-max"] as const;
const CAP_SYS_ADMIN = 21n;
const CAP_SYS_RESOURCE = 24n;

export function survey(root = "/", trackingLive: boolean | null = null): Facts {
  const tree = new Tree(root);
  const host = openHost(root);
  const limits = tree.text("proc/self/limits") ?? "";
  const status = tree.text("proc/self/status") ?? "";
  const settings = new Map<string, Reading>();
  for (const key of [...SETTINGS.map((setting) => setting.key), ...EXTRA_KEYS]) settings.set(key, host.read(key));
  const kernel = tree.text("proc/sys/kernel/osrelease") ?? "";
  return {
    kernel,
    kernelMajor: Number(/^\d+/.exec(kernel)?.[0] ?? 6),
    cores: countList(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? "0"),
    pageBytes: host.facts().pageBytes,
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
    tcpPagesUsed: Number(/^TCP:.* mem (\d+)/m.exec(tree.text("proc/net/sockstat") ?? "")?.[1] ?? 0),
    tracking: trackingOf(tree, trackingLive),
    portsReserved: reservedOf(tree),
    securityModules: securityModules(tree),
  };
}

/** "0-3,8" → 5 */
function countList(list: string): number {
  return list.split(",").reduce((sum, part) => {
    const [low = 0, high = low] = part.split("-").map(Number);
    return sum + high - low + 1;
  }, 0);
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
