/**
 * Brings the kernel to the table's values, or tells how far it is from them. Runs in the command line; prints nothing.
 * The order that makes it safe: judge everything, put every value that will change into the rollback file, and only then
 * write, reading each value back because the kernel may clamp. The way back is untune.ts.
 */
import { assess, type Finding, refusedReason } from "../check.js";
import type { Host } from "../kernel/proc-sys.js";
import { type Plan, processNofile } from "../plan.js";
import type { ReadValue } from "../remedies/render.js";
import { isLegible, isLower, nextValue } from "../rules.js";
import { SETTINGS, type Setting, wouldLower } from "../settings.js";
import type { Etc } from "./etc.js";
import { whileLocked } from "./lock.js";
import { type FileRow, plannedFiles, verifyFiles, writeFiles } from "./persist.js";
import { makeRollbackFolder, readRollback, remember } from "./rollback.js";

export interface Tuned {
  readonly setting: Setting;
  readonly before?: string;
  /** What is there afterwards; for diff what would be, for verify what is wanted. */
  readonly after?: string;
  /** "kept": wanted lower than it is, and nobody said that it may be lowered. "wanting": found so by verify. */
  readonly status:
    | "enough"
    | "raised"
    | "lowered"
    | "kept"
    | "notNeeded"
    | "missing"
    | "refused"
    | "clamped"
    | "wanting";
  /** The reason of every status but the first three. */
  readonly reason?: string;
  /** Something that matters is not as wanted: the exit status becomes 1. */
  readonly failed: boolean;
}

export interface Outcome {
  readonly rows: readonly Tuned[];
  readonly files: readonly FileRow[];
}

interface Wishes {
  readonly statePath: string;
  readonly allowLowering: boolean;
}

/**
 * Applies the table, and with `persistTo` writes the files that keep it over a boot. Throws `failed`, having changed
 * nothing, where the rollback file cannot be written or another run is at work with it.
 */
export function tune(host: Host, plan: Plan, wishes: Wishes, persistTo?: Etc): Outcome {
  const { changes, files } = whatToDo(host, plan, wishes, persistTo);
  // The lock needs the folder; where nothing is to be written, nobody needs either.
  if (changes.length > 0 || files.length > 0) makeRollbackFolder(wishes.statePath);
  return whileLocked(wishes.statePath, () => change(host, plan, wishes, persistTo));
}

function whatToDo(host: Host, plan: Plan, wishes: Wishes, persistTo: Etc | undefined) {
  const findings = findingsOf(host, plan, wishes);
  const place = { kind: "thisHost", read: readerOf(host), allowLowering: wishes.allowLowering } as const;
  const files = persistTo ? plannedFiles(plan, place, persistTo) : [];
  const changes = findings.filter((found) => found.verdict === "low" && host.denied(found.setting.key) === undefined);
  return { findings, files, changes };
}

function change(host: Host, plan: Plan, wishes: Wishes, persistTo: Etc | undefined): Outcome {
  const { findings, files, changes } = whatToDo(host, plan, wishes, persistTo);
  if (changes.length > 0 || files.length > 0) {
    const before = changes.flatMap((found) => ("now" in found ? [{ key: found.setting.key, value: found.now }] : []));
    remember(wishes.statePath, host.identity(), before, files);
  }
  const rows = findings.map((found) => (found.verdict === "low" ? apply(host, plan, found) : untouched(found)));
  if (!persistTo) return { rows, files: [] };
  // A limit above nr_open would lock people out of login at the next boot, so no file before nr_open is known to hold it.
  const nrOpen = host.read("fs.nr_open");
  if ("text" in nrOpen && Number(nrOpen.text) < processNofile(plan)) {
    const reason = `fs.nr_open is ${nrOpen.text}, below the ${processNofile(plan)} descriptors that the files would give a process: name fewer with --nofile`;
    return { rows, files: files.map(({ path }) => ({ path, status: "refused", reason })) };
  }
  return { rows, files: writeFiles(files, persistTo) };
}

/** What tune would do; reads only, and needs no root for it. */
export function diff(host: Host, plan: Plan, wishes: Wishes): Outcome {
  const rows = findingsOf(host, plan, wishes).map((found): Tuned => {
    if (found.verdict !== "low") return untouched(found);
    const { setting, now, next } = found;
    const code = host.denied(setting.key);
    const reason = code === undefined ? {} : { reason: refusedReason(setting, code, host.isRoot) };
    return {
      setting,
      before: now,
      after: next,
      status: isLower(next, now) ? "lowered" : "raised",
      ...reason,
      failed: false,
    };
  });
  return { rows, files: [] };
}

/** Whether all is in place, the files that persist wrote included; reads only. */
export function verify(host: Host, plan: Plan, wishes: Wishes, etc: Etc): Outcome {
  const rows = findingsOf(host, plan, wishes).map((found): Tuned => {
    if (found.verdict !== "low") return untouched(found);
    const reason = "run `megagate tune`";
    return { setting: found.setting, before: found.now, after: found.next, status: "wanting", reason, failed: true };
  });
  return { rows, files: verifyFiles(readRollback(wishes.statePath)?.files ?? [], etc) };
}

type Judged = Finding | { readonly verdict: "kept"; readonly setting: Setting; readonly now: string };

function findingsOf(host: Host, plan: Plan, { allowLowering }: Wishes): Judged[] {
  return SETTINGS.map((setting) => {
    const found = assess(setting, plan, host.read(setting.key));
    const kept = found.verdict === "low" && !allowLowering && wouldLower(setting, plan, found.now);
    return kept ? { verdict: "kept", setting, now: found.now } : found;
  });
}

export const readerOf =
  (host: Host): ReadValue =>
  (key) => {
    const reading = host.read(key);
    return "text" in reading ? reading.text : undefined;
  };

function untouched(found: Exclude<Judged, { verdict: "low" }>): Tuned {
  const { setting } = found;
  switch (found.verdict) {
    case "enough":
      return { setting, before: found.now, after: found.now, status: "enough", failed: false };
    case "kept": {
      const reason = `would be lowered by --allow-lowering: ${setting.lowers ?? ""}`;
      return { setting, before: found.now, after: found.now, status: "kept", reason, failed: false };
    }
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
  return { setting, before: now, after, status: isLower(after, now) ? "lowered" : "raised", failed: false };
}
