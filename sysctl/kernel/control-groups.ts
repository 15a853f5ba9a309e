/**
 * Control groups: the tightest memory, task and CPU limit of those that this process is in. Version 1 has a tree for each
 * controller, version 2 one for all; a limit anywhere above us holds for us too, so each level up to the mount is read.
 * In a container the path is often the host's, which its mount does not show: then the mount's own root is our group.
 */
import { dirname, join } from "node:path";
import type { Usage } from "./facts.js";
import { limitOf, type Tree } from "./tree.js";

const MOUNT = "sys/fs/cgroup";
/** Version 1 writes "no limit" as the greatest multiple of the page size in 63 bits. */
const NO_LIMIT = 2 ** 62;

interface Files {
  readonly limits: readonly string[];
  readonly used: string;
  /** Bytes of `used` that the kernel takes back when they are needed: a line of memory.stat. */
  readonly reclaimable?: string;
}

const MEMORY: Readonly<Record<1 | 2, Files>> = {
  1: { limits: ["memory.limit_in_bytes"], used: "memory.usage_in_bytes", reclaimable: "total_inactive_file" },
  // Above memory.high nothing fails, but every process of the group is put to sleep: for a gateway that is the limit.
  2: { limits: ["memory.max", "memory.high"], used: "memory.current", reclaimable: "inactive_file" },
};
const TASKS: Files = { limits: ["pids.max"], used: "pids.current" };

export function groupMemory(tree: Tree): (Usage & { readonly version: 1 | 2 }) | null {
  const { version, folders } = foldersOf(tree, "memory");
  const usage = tightest(tree, folders, MEMORY[version]);
  return usage && { ...usage, version };
}

export function groupTasks(tree: Tree): Usage | null {
  return tightest(tree, foldersOf(tree, "pids").folders, TASKS);
}

/** The path of our group: "0::/system.slice/x.service", or "4:memory:/docker/…" where the controller is of version 1. */
export function groupPath(
  tree: Tree,
  controller: string,
  process = "self",
): { readonly version: 1 | 2; readonly path: string } {
  const lines = (tree.text(`proc/${process}/cgroup`) ?? "").split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  const own = lines.find((line) => line?.[1]?.split(",").includes(controller));
  if (own) return { version: 1, path: own[2]! };
  return { version: 2, path: lines.find((line) => line?.[1] === "")?.[2] ?? "/" };
}

/**
 * Processors that the control groups give: the tightest quota over its period, which may be a fraction; Infinity where none
 * bounds. Version 1 mounts the cpu controller alone or together with cpuacct; where both versions are mounted, either may bound.
 */
export function groupProcessors(tree: Tree): number {
  const { version, path } = groupPath(tree, "cpu");
  const own = (of: 1 | 2): string => (of === version ? path : groupPath(tree, "").path);
  const shares = [
    ...["cpu", "cpu,cpuacct"].flatMap((mount) => levels(join(MOUNT, mount), own(1))).map((at) => quotaOf1(tree, at)),
    ...["", "unified"].flatMap((mount) => levels(join(MOUNT, mount), own(2))).map((at) => quotaOf2(tree, at)),
  ];
  return Math.min(Number.POSITIVE_INFINITY, ...shares.filter((share) => share > 0));
}

/** -1 is none. */
const quotaOf1 = (tree: Tree, at: string): number =>
  (tree.number(join(at, "cpu.cfs_quota_us")) ?? -1) / (tree.number(join(at, "cpu.cfs_period_us")) ?? 100_000);

/** "200000 100000", or "max 100000". */
function quotaOf2(tree: Tree, at: string): number {
  const [quota, period] = (tree.text(join(at, "cpu.max")) ?? "max").split(/\s+/);
  return (limitOf(quota) ?? Number.POSITIVE_INFINITY) / (limitOf(period) ?? 100_000);
}

/** Our group's folder and those above it, up to the mount. */
function foldersOf(tree: Tree, controller: string): { readonly version: 1 | 2; readonly folders: readonly string[] } {
  const { version, path } = groupPath(tree, controller);
  return { version, folders: levels(version === 1 ? join(MOUNT, controller) : MOUNT, path) };
}

function levels(mount: string, path: string): readonly string[] {
  const folders: string[] = [];
  // "/../…" is a group outside of our cgroup namespace: not shown to us.
  let at = path.startsWith("/") && !path.includes("..") ? path : "/";
  for (; at !== "/"; at = dirname(at)) folders.push(join(mount, at));
  return [...folders, mount];
}

function tightest(tree: Tree, folders: readonly string[], files: Files): Usage | null {
  let found: Usage | null = null;
  for (const folder of folders) {
    const limit = Math.min(...files.limits.map((name) => tree.number(join(folder, name)) ?? Number.POSITIVE_INFINITY));
    if (limit >= NO_LIMIT) continue;
    const used = usedOf(tree, folder, files);
    if (found === null || limit - used < found.limit - found.used) {
      found = { limit, used, at: `/${folder.slice(MOUNT.length + 1)}` };
    }
  }
  return found;
}

function usedOf(tree: Tree, folder: string, files: Files): number {
  const used = tree.number(join(folder, files.used)) ?? 0;
  if (files.reclaimable === undefined) return used;
  const line = new RegExp(`^${files.reclaimable} (\\d+)`, "m").exec(tree.text(join(folder, "memory.stat")) ?? "");
  return Math.max(0, used - Number(line?.[1] ?? 0));
}
