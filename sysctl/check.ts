/**
 * Pure: judges one kernel value against the plan, and turns every errno into a sentence with its remedy.
 * `tune` and the doctor share it: tune writes the value that a finding asks for, the doctor only prints it.
 */
import type { Reading } from "./kernel/proc-sys.js";
import type { KernelPlan } from "./plan.js";
import { isLegible, nextValue } from "./rules.js";
import type { Setting } from "./settings.js";

export type Finding =
  | { readonly verdict: "enough"; readonly setting: Setting; readonly now: string }
  | { readonly verdict: "low"; readonly setting: Setting; readonly now: string; readonly next: string }
  | { readonly verdict: "notNeeded"; readonly setting: Setting; readonly now?: string; readonly reason: string }
  /** `matters`: it exists somewhere and may be too low there; false where this kernel has no such thing at all. */
  | { readonly verdict: "missing"; readonly setting: Setting; readonly reason: string; readonly matters: boolean }
  | { readonly verdict: "unreadable"; readonly setting: Setting; readonly reason: string };

export function assess(setting: Setting, plan: KernelPlan, reading: Reading): Finding {
  if (setting.when?.needed(plan) === false) {
    const reason = setting.when.otherwise;
    return { verdict: "notNeeded", setting, reason, ...("text" in reading && { now: reading.text }) };
  }
  if ("code" in reading) {
    if (reading.code === "ENOENT") return missing(setting);
    return { verdict: "unreadable", setting, reason: unreadableReason(reading.code) };
  }
  const now = reading.text;
  const want = setting.wants(plan);
  if (!isLegible(want, now)) {
    const reason = `reads ${JSON.stringify(now)}, which is not the kind of value this setting has; set it by hand`;
    return { verdict: "unreadable", setting, reason };
  }
  const next = nextValue(want, now);
  return next === undefined ? { verdict: "enough", setting, now } : { verdict: "low", setting, now, next };
}

/** A host-wide net.* key is hidden in a child network namespace; any other missing key is one the kernel lacks. */
function missing(setting: Setting): Finding {
  const hidden = setting.scope === "host" && setting.key.startsWith("net.");
  const kernel = setting.since === undefined ? "this kernel has no such setting" : `needs ${setting.since}`;
  const reason = hidden
    ? "host-wide, and not visible in this network namespace: run `megagate tune` on the host itself, outside the container"
    : `${kernel}; the gateway works without it, less well`;
  return { verdict: "missing", setting, reason, matters: hidden };
}

function unreadableReason(code: string): string {
  if (code === "EACCES" || code === "EPERM") return `only root may read it (${code}): run \`sudo megagate tune\``;
  return `could not be read (${code})`;
}

/** Why a write failed, and the remedy, in words. */
export function refusedReason(setting: Pick<Setting, "scope">, code: string, isRoot: boolean): string {
  switch (code) {
    case "EACCES":
    case "EPERM":
      if (!isRoot) return `needs root (${code}): run it with sudo`;
      return setting.scope === "host"
        ? `host-wide, and read-only in this namespace (${code}): run it on the host itself`
        : `read-only even for root (${code}): run on the host, or give the container this sysctl when it is created`;
    case "EROFS":
      return `read-only file system (EROFS), as in most containers: run on the host, or pass it when the container is created (docker run --sysctl)`;
    case "EINVAL":
      return "the kernel does not accept this value (EINVAL): another setting contradicts it, see dmesg";
    case "ENOMEM":
      return "the kernel has no memory left for it (ENOMEM): free some, then run again";
    default:
      return `could not be written (${code})`;
  }
}
