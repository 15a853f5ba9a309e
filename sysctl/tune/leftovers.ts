/**
 * Finds lines in the host's own sysctl files that have no effect on this kernel, or that undo our settings at the next boot. It
 * must not change them, because these files belong to others: tune prints its findings as warnings. Runs in the command line.
 */
import { basename } from "node:path";
import type { ProcSys } from "../kernel/proc-sys.js";
import type { KernelPlan } from "../plan.js";
import { SYSCTL_PATH } from "../remedies/files.js";
import { isLegible, nextValue } from "../rules.js";
import { SETTINGS } from "../settings.js";
import type { Etc } from "./etc.js";

/** Settings in many copied recipes that the kernel no longer has: the release that removed each, why, and the replacement. */
const REMOVED: Readonly<Record<string, { readonly since: string; readonly why: string }>> = {
  "net.ipv4.tcp_tw_recycle": {
    since: "4.12",
    why: "it broke clients behind one NAT address; net.ipv4.tcp_tw_reuse is the safe one",
  },
  "net.ipv4.tcp_thin_dupack": { since: "4.11", why: "RACK loss detection made it needless" },
  "net.ipv4.ip_conntrack_max": { since: "4.9", why: "it is net.netfilter.nf_conntrack_max now" },
  "net.ipv4.netfilter.ip_conntrack_max": { since: "4.9", why: "it is net.netfilter.nf_conntrack_max now" },
  "net.ipv4.netfilter.ip_conntrack_tcp_timeout_established": {
    since: "4.9",
    why: "it is net.netfilter.nf_conntrack_tcp_timeout_established now",
  },
  "net.ipv4.tcp_dma_copybreak": { since: "3.18", why: "the DMA copying that it tuned is gone" },
  "net.ipv4.tcp_frto_response": { since: "3.10", why: "F-RTO was rewritten without it" },
  "net.ipv4.tcp_abc": { since: "3.9", why: "appropriate byte counting is gone" },
  "net.ipv4.tcp_vegas_cong_avoid": { since: "2.6.13", why: "net.ipv4.tcp_congestion_control chooses the algorithm" },
  "kernel.sched_migration_cost_ns": { since: "5.13", why: "it moved to /sys/kernel/debug/sched" },
  "kernel.sched_min_granularity_ns": { since: "5.13", why: "it moved to /sys/kernel/debug/sched" },
  "kernel.sched_wakeup_granularity_ns": { since: "5.13", why: "it moved to /sys/kernel/debug/sched" },
};

interface Line {
  readonly path: string;
  readonly line: number;
  readonly key: string;
  readonly value: string;
}

/** Sentences without a full stop, each with file and line. */
export function leftovers(etc: Etc, procSys: ProcSys, plan: KernelPlan): string[] {
  const lines = filesInOrder(etc).flatMap((path) => parseSysctlFile(path, etc.text(path) ?? ""));
  const removed = lines.flatMap((line) => removedWarning(line, procSys));
  return [...removed, ...overridden(lines), ...tooFewFlows(lines, plan), ...boundlessQueues(lines, procSys, plan)];
}

/** Copied recipes write bytes into tcp_mem, which is in pages: a limit above the machine's memory never acts. */
function boundlessQueues(lines: readonly Line[], procSys: ProcSys, { pageBytes, memoryBytes }: KernelPlan): string[] {
  const key = "net.ipv4.tcp_mem";
  const now = procSys.read(key);
  const isBoundless = (value: string): boolean => Number(value.split(/\s+/).at(-1)) * pageBytes > memoryBytes;
  const remedy = `lets TCP queue more than the memory of this host (its unit is pages of ${pageBytes} bytes), so the kernel runs out before it stops. Lower it`;
  return [
    ...lines
      .filter((line) => line.key === key && isBoundless(line.value))
      .map(({ path, line }) => `${path}:${line}: ${key} ${remedy}`),
    ...("text" in now && isBoundless(now.text) ? [`${key} is ${now.text.replace(/\s+/g, " ")}: it ${remedy}`] : []),
  ];
}

function removedWarning({ path, line, key }: Line, procSys: ProcSys): string[] {
  const removed = REMOVED[key];
  if (removed === undefined) return [];
  const reading = procSys.read(key);
  if (!("code" in reading) || reading.code !== "ENOENT") return [];
  return [`${path}:${line}: ${key} does nothing: Linux ${removed.since} removed it, ${removed.why}. Delete the line`];
}

/**
 * Our settings that a later file sets to another value, by any of their names: at boot the last file wins. systemd-sysctl does
 * not read /etc/sysctl.conf by itself; `sysctl --system`, which runs at boot on systems without systemd, does.
 */
function overridden(lines: readonly Line[]): string[] {
  const ours = new Map(lines.filter(({ path }) => path === SYSCTL_PATH).map((line) => [settingKey(line.key), line]));
  return lines.filter(isLater).flatMap(({ path, line, key, value }) => {
    const own = ours.get(settingKey(key));
    if (own === undefined || own.value === value) return [];
    const name = own.key === key ? "" : `, which is ${own.key} by another name,`;
    return [
      `${path}:${line}: sets ${key} = ${value}${name} after ${SYSCTL_PATH}, so that one counts at boot. ${remedyFor(path)}`,
    ];
  });
}

/**
 * An nf_conntrack_max that is too low for the plan, in the file that sets it last. Our own file leaves the setting out where
 * nothing is tracked now, so a firewall that starts to track connections would meet this value.
 */
function tooFewFlows(lines: readonly Line[], plan: KernelPlan): string[] {
  const setting = SETTINGS.find(({ key }) => key === "net.netfilter.nf_conntrack_max")!;
  const last = lines.findLast(({ key }) => settingKey(key) === setting.key);
  if (last === undefined || setting.when?.needed(plan)) return [];
  const { path, line, key, value } = last;
  const want = setting.wants(plan);
  const next = isLegible(want, value) ? nextValue(want, value) : undefined;
  if (next === undefined) return [];
  return [
    `${path}:${line}: sets ${key} = ${value}, which limits connections (26w) once a firewall tracks them: ${next} would be enough. Raise it, or delete the line`,
  ];
}

const isLater = ({ path }: Line): boolean => path === SYSCTL_CONF || basename(path) > basename(SYSCTL_PATH);

/** A package or a program would write its file again: a file of the same name in /etc replaces it. */
function remedyFor(path: string): string {
  if (path.startsWith("/etc/")) return "Delete the line";
  return `Put an empty file of its name into ${ETC_SYSCTL} over it (ln -s /dev/null ${ETC_SYSCTL}/${basename(path)})`;
}

const SYSCTL_CONF = "/etc/sysctl.conf";
const ETC_SYSCTL = "/etc/sysctl.d";
/** sysctl.d(5): the files of all folders are read in the order of their names; of equal names only that of the first folder. */
const FOLDERS = [ETC_SYSCTL, "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];

/** By name over all folders, and /etc/sysctl.conf last, which Debian 12 links into the folder as well. */
function filesInOrder(etc: Etc): string[] {
  const byName = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const name of etc.names(folder)) {
      if (name.endsWith(".conf") && !byName.has(name)) byName.set(name, `${folder}/${name}`);
    }
  }
  const inOrder = [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
  return [...inOrder.filter((path) => etc.text(path) !== etc.text(SYSCTL_CONF)), SYSCTL_CONF];
}

/** sysctl.d(5): `key = value`, # and ; begin comments, a leading - ignores errors, slashes may stand for dots. */
export function parseSysctlFile(path: string, text: string): Line[] {
  return text.split("\n").flatMap((raw, index) => {
    const match = /^\s*-?\s*([a-z0-9_./-]+)\s*=\s*(.*?)\s*$/i.exec(raw);
    if (!match) return [];
    const [, name = "", value = ""] = match;
    const key = /^[^.]*\//.test(name) ? name.replaceAll("/", ".") : name;
    return [{ path, line: index + 1, key, value: value.replace(/\s+/g, " ") }];
  });
}

/** The setting's own key for any of its names: module.nf_conntrack.hashsize for …nf_conntrack_buckets. */
export const settingKey = (name: string): string =>
  SETTINGS.find((setting) => setting.fileKey === name || setting.alias === name)?.key ?? name;
