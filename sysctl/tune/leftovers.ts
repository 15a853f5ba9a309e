/**
 * Lines of the host's own sysctl files that cannot work on this kernel, or that undo ours at the next boot. Changes nothing:
 * what it finds is told as warnings by tune, since those files are somebody else's. Runs in the command line.
 */
import { basename } from "node:path";
import { SYSCTL_PATH } from "../dialect/files.js";
import type { Host } from "../host.js";
import { SETTINGS } from "../settings.js";
import type { Etc } from "./etc.js";

/** Settings that recipes still copy and that a kernel has taken away: since when, why, and what to do instead. */
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
export function leftovers(etc: Etc, host: Host): string[] {
  const lines = filesInOrder(etc).flatMap((path) => parseSysctlFile(path, etc.text(path) ?? ""));
  const removed = lines.flatMap((line) => removedWarning(line, host));
  return [...removed, ...overridden(lines), ...boundlessQueues(lines, host)];
}

/** Copied recipes take the pages of tcp_mem for bytes: beyond the memory there is, the kernel's guard never acts. */
function boundlessQueues(lines: readonly Line[], host: Host): string[] {
  const key = "net.ipv4.tcp_mem";
  const { pageBytes, memoryBytes } = host.facts();
  const now = host.read(key);
  const isBoundless = (value: string): boolean => Number(value.split(/\s+/).at(-1)) * pageBytes > memoryBytes;
  const remedy = `lets TCP queue more than the memory of this host (its unit is pages of ${pageBytes} bytes), so the kernel runs out before it stops. Lower it`;
  return [
    ...lines
      .filter((line) => line.key === key && isBoundless(line.value))
      .map(({ path, line }) => `${path}:${line}: ${key} ${remedy}`),
    ...("text" in now && isBoundless(now.text) ? [`${key} is ${now.text.replace(/\s+/g, " ")}: it ${remedy}`] : []),
  ];
}

function removedWarning({ path, line, key }: Line, host: Host): string[] {
  const removed = REMOVED[key];
  if (removed === undefined) return [];
  const reading = host.read(key);
  if (!("code" in reading) || reading.code !== "ENOENT") return [];
  return [`${path}:${line}: ${key} does nothing: Linux ${removed.since} removed it, ${removed.why}. Delete the line`];
}

/** Keys of ours that a later file sets to something else than our file does: at boot, the last one wins. */
function overridden(lines: readonly Line[]): string[] {
  const ours = new Map(lines.filter(({ path }) => path === SYSCTL_PATH).map((line) => [line.key, line.value]));
  const isLater = ({ path }: Line): boolean => path === "/etc/sysctl.conf" || basename(path) > basename(SYSCTL_PATH);
  return lines
    .filter((line) => isLater(line) && ours.has(line.key) && ours.get(line.key) !== line.value)
    .map(
      ({ path, line, key, value }) =>
        `${path}:${line}: sets ${key} = ${value} after ${SYSCTL_PATH}, so that one counts at boot. Delete the line`,
    );
}

/** As sysctl --system reads them: by name, and /etc/sysctl.conf last, which Debian links into the folder as well. */
function filesInOrder(etc: Etc): string[] {
  const last = "/etc/sysctl.conf";
  const inFolder = etc
    .names("/etc/sysctl.d")
    .filter((name) => name.endsWith(".conf"))
    .map((name) => `/etc/sysctl.d/${name}`);
  return [...inFolder.filter((path) => etc.text(path) !== etc.text(last)), last];
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

/** The setting's own key for one that a sysctl.d file has: module.nf_conntrack.hashsize for …nf_conntrack_buckets. */
export const settingKey = (fileKey: string): string =>
  SETTINGS.find((setting) => setting.fileKey === fileKey)?.key ?? fileKey;
