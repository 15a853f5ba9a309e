/**
 * Brings the kernel to the table's values, and back. Runs in the command line; prints nothing.
 * The order that makes it safe: judge everything, put every value that will change into the rollback file, and only then
 * write, reading each value back because the kernel may clamp. Going back is the reverse, and repeatable at any point.
 */
import { assess, type Finding, refusedReason } from "./check.js";
import type { Host } from "./host.js";
import type { Plan } from "./plan.js";
import { deleteRollback, readRollback, refuseOtherNetwork, remember, writeRollback } from "./rollback.js";
import { isLegible, nextValue } from "./rules.js";
import { SETTINGS, type Setting } from "./settings.js";

export interface Tuned {
  readonly setting: Setting;
  readonly before?: string;
  readonly after?: string;
  readonly status: "enough" | "raised" | "lowered" | "notNeeded" | "missing" | "refused" | "clamped";
  /** The reason of every status but the first three. */
  readonly reason?: string;
  /** Something that matters is not as wanted: the exit status becomes 1. */
  readonly failed: boolean;
}

export interface Restored {
  readonly key: string;
  readonly before?: string;
  readonly after?: string;
  readonly status: "restored" | "unchanged" | "refused";
  readonly reason?: string;
}

export type Untuned =
  | { readonly kind: "nothing" }
  /** The machine was booted since: the kernel's values are the boot's, not ours. */
  | { readonly kind: "booted" }
  | { readonly kind: "restored"; readonly rows: readonly Restored[] };

/** Applies the table. Throws `failed`, having changed nothing, where the rollback file cannot be written. */
export function tune(host: Host, plan: Plan, statePath: string): Tuned[] {
  const findings = SETTINGS.map((setting) => assess(setting, plan, host.read(setting.key)));
  const changes = findings.filter((found) => found.verdict === "low" && host.denied(found.setting.key) === undefined);
  if (changes.length > 0) {
    const before = changes.flatMap((found) => ("now" in found ? [{ key: found.setting.key, value: found.now }] : []));
    remember(statePath, host.identity(), before);
  }
  return findings.map((found) => (found.verdict === "low" ? apply(host, plan, found) : untouched(found)));
}

function untouched(found: Exclude<Finding, { verdict: "low" }>): Tuned {
  const { setting } = found;
  switch (found.verdict) {
    case "enough":
      return { setting, before: found.now, after: found.now, status: "enough", failed: false };
    case "notNeeded": {
      const shown = found.now === undefined ? {} : { before: found.now, after: found.now };
      return { setting, ...shown, status: "notNeeded", reason: found.reason, failed: false };
    }
    case "missing":
      return { setting, status: "missing", reason: found.reason, failed: found.matters };
    case "unreadable":
      return { setting, status: "refused", reason: found.reason, failed: true };
  }
}

function apply(host: Host, plan: Plan, found: Extract<Finding, { verdict: "low" }>): Tuned {
  const { setting, now, next } = found;
  const code = host.denied(setting.key) ?? host.write(setting.key, next);
  const reading = host.read(setting.key);
  const after = "text" in reading ? reading.text : now;
  if (code !== undefined) {
    const reason = refusedReason(setting, code, host.isRoot);
    return { setting, before: now, after, status: "refused", reason, failed: true };
  }
  const want = setting.wants(plan);
  if (!isLegible(want, after) || nextValue(want, after) !== undefined) {
    const reason = `the kernel took ${next} and made it ${after}: this is the most it allows here`;
    return { setting, before: now, after, status: "clamped", reason, failed: true };
  }
  return { setting, before: now, after, status: isLowered(now, after) ? "lowered" : "raised", failed: false };
}

/** By the last number, which is the bound in every setting that has several. */
function isLowered(before: string, after: string): boolean {
  const last = (text: string): number => Number(text.split(/[\s,-]+/).at(-1));
  return last(after) < last(before);
}

/** Writes every remembered value back, last first. What cannot be restored stays in the file for another try. */
export function untune(host: Host, statePath: string): Untuned {
  const rollback = readRollback(statePath);
  if (!rollback) return { kind: "nothing" };
  const identity = host.identity();
  if (rollback.bootId !== identity.bootId) {
    deleteRollback(statePath);
    return { kind: "booted" };
  }
  refuseOtherNetwork(statePath, rollback, identity);
  const lastFirst = rollback.before.toSorted((a, b) => place(b.key) - place(a.key));
  const rows = lastFirst.map(({ key, value }) => restore(host, key, value));
  const left = rollback.before.filter(({ key }) => rows.some((row) => row.key === key && row.status === "refused"));
  if (left.length === 0) deleteRollback(statePath);
  else writeRollback(statePath, { ...rollback, before: left });
  return { kind: "restored", rows };
}

/** Position in the table; −1, restored last, for a key that an older build changed and this one does not know. */
const place = (key: string): number => SETTINGS.findIndex((setting) => setting.key === key);

function restore(host: Host, key: string, value: string): Restored {
  const first = host.read(key);
  const before = "text" in first ? { before: first.text } : {};
  if ("text" in first && first.text === value) return { key, ...before, after: value, status: "unchanged" };
  const code = host.write(key, value);
  const reading = host.read(key);
  const after = "text" in reading ? { after: reading.text } : {};
  if (code !== undefined) {
    const setting = SETTINGS[place(key)] ?? { scope: "host" };
    return { key, ...before, ...after, status: "refused", reason: refusedReason(setting, code, host.isRoot) };
  }
  if (after.after !== value) {
    const reason = `the kernel took ${value} and made it ${after.after ?? "unreadable"}`;
    return { key, ...before, ...after, status: "refused", reason };
  }
  return { key, ...before, ...after, status: "restored" };
}
