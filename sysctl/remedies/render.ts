/**
 * Turns the settings table into the needs of a plan, for files and other formats. Pure. Three targets: this host
 * (`tune --format sysctl`, `--persist`), where higher values are kept and lists are merged; a container, whose network namespace
 * starts with the kernel's defaults and belongs to the gateway alone; and any host (sysctl/99-megagate.conf), where a value that
 * might lower a bigger machine's own stays a comment, because a file cannot compare.
 */

import { endsOf, type KernelPlan, processNofile, serviceTasks } from "../plan.js";
import { isLegible, nextValue, plainValue } from "../rules.js";
import { SETTINGS, type Setting, wouldLower } from "../settings.js";
import { sysctlFile } from "./files.js";
import type { Need } from "./need.js";

/** The value of a key on the host that the needs are for; undefined where it cannot be read. */
export type ReadValue = (key: string) => string | undefined;

export type RenderTarget =
  | { readonly type: "anyHost" }
  | { readonly type: "thisHost"; readonly read: ReadValue; readonly allowLowering: boolean }
  | { readonly type: "container" };

/** The plan behind sysctl/99-megagate.conf: `make million` on the machine of the README. */
export const MILLION: KernelPlan = {
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
export function renderSysctlFile(plan: KernelPlan): string {
  const target = { type: "anyHost" } as const;
  return sysctlFile(needsOf(plan, target), headOf(plan, target));
}

/** The comment at the head of a profile: what it is for, and how to install it. */
export function headOf(plan: KernelPlan, target: RenderTarget): string {
  const purpose = {
    anyHost:
      "For any host. `megagate tune --format sysctl` prints the same for the host it runs on, and merges with what is there.",
    thisHost: "Made for this host: where a value was higher already, that one is kept.",
    container: "For a container with a network namespace of its own.",
  }[target.type];
  const install =
    "To install: copy to /etc/sysctl.d/99-megagate.conf, then run `sysctl --system`. To undo: delete it and reboot.";
  return [
    `Settings for Megagate: ${describePlan(plan)}.`,
    "Generated from the table in sysctl/settings.ts: change it there, not here.",
    purpose,
    ...(target.type === "anyHost" ? [install] : []),
  ].join("\n");
}

/** "1,000,000 connections, both ends on this host, ports 8080, 8081" */
export function describePlan(plan: KernelPlan): string {
  const ends = endsOf(plan) > plan.connections ? "both ends on this host" : "their other ends elsewhere";
  return `${plan.connections.toLocaleString("en-US")} connections, ${ends}, ports ${plan.listenPorts.join(", ")}`;
}

export function needsOf(plan: KernelPlan, target: RenderTarget): Need[] {
  const isContainer = target.type === "container";
  // Container networks are bridges behind NAT, so the kernel tracks every connection.
  const targetPlan = isContainer ? { ...plan, conntrackLive: true } : plan;
  const sysctls = SETTINGS.map((setting) => sysctlNeed(setting, targetPlan, target));
  return [
    ...(isContainer ? sysctls.filter((need) => need.leftOut === undefined) : sysctls),
    {
      kind: "nofile",
      value: processNofile(plan),
      why: "Descriptors of one process: one worker a core holds its share.",
    },
    ...(isContainer ? [] : [{ kind: "tasks", value: serviceTasks(plan) } as const]),
  ];
}

function sysctlNeed(setting: Setting, plan: KernelPlan, target: RenderTarget): Need {
  const leftOut = leftOutReason(setting, plan, target);
  const lowers = setting.lowers === undefined ? "" : `\nThis lowers the usual default: ${setting.lowers}.`;
  return {
    kind: "sysctl",
    key: setting.fileKey ?? setting.key,
    value: fileValue(setting, plan, presentValue(setting, target)),
    scope: setting.scope,
    why: `${setting.why}${lowers}`,
    ...(setting.module !== undefined && { module: setting.module }),
    ...(leftOut !== undefined && { leftOut }),
  };
}

/** Undefined for a target other than this host, and where the value cannot be read. */
const presentValue = ({ key }: Setting, target: RenderTarget): string | undefined =>
  target.type === "thisHost" ? target.read(key) : undefined;

function fileValue(setting: Setting, plan: KernelPlan, now: string | undefined): string {
  const want = setting.wants(plan);
  if (now === undefined || !isLegible(want, now)) return plainValue(want);
  return (nextValue(want, now) ?? now).replace(/\s+/g, " ");
}

/** Why the line must stay a comment; undefined where it takes effect. */
function leftOutReason(setting: Setting, plan: KernelPlan, target: RenderTarget): string | undefined {
  if (setting.when?.needed(plan) === false) return setting.when.inFile;
  if (target.type === "container") return undefined;
  const now = presentValue(setting, target);
  if (target.type === "thisHost" && !target.allowLowering && now !== undefined && wouldLower(setting, plan, now)) {
    return `this host has ${now.replace(/\s+/g, " ")}, and no value is lowered without --allow-lowering`;
  }
  if (!setting.hostMayHaveMore || now !== undefined) return undefined;
  return `use it only if \`sysctl ${setting.key}\` shows less; many hosts have more by default`;
}
