/**
 * The table as a sysctl.d file, one comment a setting. Pure. Two uses: for a known host (`megagate tune --print`), where
 * values that are higher already are kept and lists are merged; and for no host in particular (sysctl/99-megagate.conf),
 * where whatever might lower a bigger machine's own value stays a comment, because a file cannot compare as tune does.
 */
import { endsOf, type Plan } from "./plan.js";
import { isLegible, nextValue, plainValue } from "./rules.js";
import { SETTINGS, type Setting } from "./settings.js";

/** The value of a key on the host that the file is for; undefined where it cannot be read. */
type ReadValue = (key: string) => string | undefined;

/** The plan behind sysctl/99-megagate.conf: the million run on the machine of the README. */
export const MILLION: Plan = {
  connections: 1_000_000,
  listenPorts: [8080, 8081],
  coLocated: true,
  memoryBytes: 24 * 2 ** 30,
  conntrackLive: false,
  nofile: 20_000,
  cores: 2,
  pageBytes: 4096,
  kernelMajor: 6,
};

export function renderSysctlFile(plan: Plan, read?: ReadValue): string {
  const head = [
    `# Kernel settings for Megagate: ${describePlan(plan)}.`,
    "# Generated from the table in sysctl/settings.ts: change it there, not here.",
    read
      ? "# Made for the host it was printed on: where a value was higher already, that one is kept."
      : "# For any host. `megagate tune --print` prints the same for the host it runs on, and merges with what is there.",
    "# To install: copy to /etc/sysctl.d/99-megagate.conf, then run `sysctl --system`. To undo: delete it and reboot.",
  ];
  const blocks = SETTINGS.map((setting) => renderSetting(setting, plan, read).join("\n"));
  return `${[head.join("\n"), ...blocks].join("\n\n")}\n`;
}

/** "1,000,000 connections, both ends on this host, ports 8080, 8081" */
export function describePlan(plan: Plan): string {
  const ends = endsOf(plan) > plan.connections ? "both ends on this host" : "their other ends elsewhere";
  return `${plan.connections.toLocaleString("en-US")} connections, ${ends}, ports ${plan.listenPorts.join(", ")}`;
}

function renderSetting(setting: Setting, plan: Plan, read: ReadValue | undefined): string[] {
  const line = `${setting.fileKey ?? setting.key} = ${fileValue(setting, plan, read)}`;
  const lines = [`# ${setting.why}`];
  if (setting.lowers !== undefined) lines.push(`# This lowers the usual default: ${setting.lowers}.`);
  const idle = commentedReason(setting, plan, read);
  return idle === undefined ? [...lines, line] : [...lines, `# Left out: ${idle}.`, `# ${line}`];
}

function fileValue(setting: Setting, plan: Plan, read: ReadValue | undefined): string {
  const want = setting.wants(plan);
  const now = read?.(setting.key);
  if (now === undefined || !isLegible(want, now)) return plainValue(want);
  return (nextValue(want, now) ?? now).replace(/\s+/g, " ");
}

/** Why the line must stay a comment; undefined where it takes effect. */
function commentedReason(setting: Setting, plan: Plan, read: ReadValue | undefined): string | undefined {
  if (setting.when?.needed(plan) === false) return setting.when.inFile;
  if (!setting.hostMayHaveMore || read?.(setting.key) !== undefined) return undefined;
  return `take it in only if \`sysctl ${setting.key}\` shows less; many hosts have more by themselves`;
}
