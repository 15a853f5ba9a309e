/**
 * The table as needs of a plan, for files and other dialects. Pure. Three uses: for a known host (`tune --format sysctl`,
 * `--persist`), where values that are higher already are kept and lists are merged; for a container, whose network
 * namespace begins with the kernel's own values and belongs to the gateway alone; and for no host in particular
 * (sysctl/99-megagate.conf), where what might lower a bigger machine's own value stays a comment: a file cannot compare.
 */

import { endsOf, type Plan, processNofile, serviceTasks } from "../plan.js";
import { isLegible, nextValue, plainValue } from "../rules.js";
import { SETTINGS, type Setting, wouldLower } from "../settings.js";
import { sysctlFile } from "./files.js";
import type { Need } from "./need.js";

/** The value of a key on the host that the needs are for; undefined where it cannot be read. */
export type ReadValue = (key: string) => string | undefined;

export type Place =
  | { readonly kind: "anyHost" }
  | { readonly kind: "thisHost"; readonly read: ReadValue; readonly allowLowering: boolean }
  | { readonly kind: "container" };

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
  kernel: "6.18",
};

/** sysctl/99-megagate.conf. */
export function renderSysctlFile(plan: Plan): string {
  const place = { kind: "anyHost" } as const;
  return sysctlFile(needsOf(plan, place), headOf(plan, place));
}

export function headOf(plan: Plan, place: Place): string {
  const made = {
    anyHost:
      "For any host. `megagate tune --format sysctl` prints the same for the host it runs on, and merges with what is there.",
    thisHost: "Made for this host: where a value was higher already, that one is kept.",
    container: "For a container with a network namespace of its own.",
  }[place.kind];
  const install =
    "To install: copy to /etc/sysctl.d/99-megagate.conf, then run `sysctl --system`. To undo: delete it and reboot.";
  return [
    `Settings for Megagate: ${describePlan(plan)}.`,
    "Generated from the table in sysctl/settings.ts: change it there, not here.",
    made,
    ...(place.kind === "anyHost" ? [install] : []),
  ].join("\n");
}

/** "1,000,000 connections, both ends on this host, ports 8080, 8081" */
export function describePlan(plan: Plan): string {
  const ends = endsOf(plan) > plan.connections ? "both ends on this host" : "their other ends elsewhere";
  return `${plan.connections.toLocaleString("en-US")} connections, ${ends}, ports ${plan.listenPorts.join(", ")}`;
}

export function needsOf(plan: Plan, place: Place): Need[] {
  // Container networks are bridges behind NAT, so the kernel tracks every connection.
  const there = place.kind === "container" ? { ...plan, conntrackLive: true } : plan;
  const sysctls = SETTINGS.map((setting) => sysctlNeed(setting, there, place));
  return [
    ...(place.kind === "container" ? sysctls.filter((need) => need.leftOut === undefined) : sysctls),
    {
      kind: "nofile",
      value: processNofile(plan),
      why: "Descriptors of one process: one worker a core holds its share.",
    },
    ...(place.kind === "container" ? [] : [{ kind: "tasks", value: serviceTasks(plan) } as const]),
  ];
}

function sysctlNeed(setting: Setting, plan: Plan, place: Place): Need {
  const now = place.kind === "thisHost" ? place.read(setting.key) : undefined;
  const leftOut = leftOutReason(setting, plan, place, now);
  const lowers = setting.lowers === undefined ? "" : `\nThis lowers the usual default: ${setting.lowers}.`;
  return {
    kind: "sysctl",
    key: setting.fileKey ?? setting.key,
    value: fileValue(setting, plan, now),
    scope: setting.scope,
    why: `${setting.why}${lowers}`,
    ...(setting.module !== undefined && { module: setting.module }),
    ...(leftOut !== undefined && { leftOut }),
  };
}

function fileValue(setting: Setting, plan: Plan, now: string | undefined): string {
  const want = setting.wants(plan);
  if (now === undefined || !isLegible(want, now)) return plainValue(want);
  return (nextValue(want, now) ?? now).replace(/\s+/g, " ");
}

/** Why the line must stay a comment; undefined where it takes effect. */
function leftOutReason(setting: Setting, plan: Plan, place: Place, now: string | undefined): string | undefined {
  if (setting.when?.needed(plan) === false) return setting.when.inFile;
  if (place.kind === "container") return undefined;
  if (place.kind === "thisHost" && !place.allowLowering && now !== undefined && wouldLower(setting, plan, now)) {
    return `this host has ${now.replace(/\s+/g, " ")}, and no value is lowered without --allow-lowering`;
  }
  if (!setting.hostMayHaveMore || now !== undefined) return undefined;
  return `take it in only if \`sysctl ${setting.key}\` shows less; many hosts have more by themselves`;
}
