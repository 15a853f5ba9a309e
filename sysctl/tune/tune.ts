/**
 * Sets the kernel to the table's values, or reports how far it is from them. Runs in the command line; prints nothing.
 * The order makes it safe: first judge everything, then put every value that will change into the rollback file, and only then
 * write. Each value is read back, because the kernel may clamp it. untune.ts restores.
 */
import { assess, type Finding, refusedReason } from "../check.js";
import type { ProcSys } from "../kernel/proc-sys.js";
import { type KernelPlan, processNofile } from "../plan.js";
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
  /** The value afterwards; for diff the value that would be set, for verify the wanted one. */
  readonly after?: string;
  /** "kept": higher than wanted, and --allow-lowering was not given. "wanting": verify found it not as wanted. */
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
  /** Present for every status except the first three. */
  readonly reason?: string;
  /** Something that matters is not as wanted: the exit status becomes 1. */
  readonly failed: boolean;
}

export interface Outcome {
  readonly rows: readonly Tuned[];
  readonly files: readonly FileRow[];
}

interface TuneOptions {
  readonly statePath: string;
  readonly allowLowering: boolean;
}

interface ApplyOptions extends TuneOptions {
  readonly persistTo?: Etc;
}

/**
 * Applies the table, and with `persistTo` writes the files that keep it over a boot. If the rollback file cannot be written or
 * another run holds its lock, it throws `failed` and has changed nothing.
 */
export function tune(procSys: ProcSys, plan: KernelPlan, options: ApplyOptions): Outcome {
  const { changes, files } = planChanges(procSys, plan, options);
  // The lock needs the folder; where nothing will be written, neither is needed.
  if (changes.length > 0 || files.length > 0) makeRollbackFolder(options.statePath);
  return whileLocked(options.statePath, () => applyAll(procSys, plan, options));
}

function planChanges(procSys: ProcSys, plan: KernelPlan, options: ApplyOptions) {
  const { persistTo, allowLowering } = options;
  const findings = findingsOf(procSys, plan, options);
  const target = { type: "thisHost", read: readerOf(procSys), allowLowering } as const;
  const files = persistTo ? plannedFiles(plan, target, persistTo) : [];
  const changes = findings.filter(
    (found) => found.verdict === "low" && procSys.denied(found.setting.key) === undefined,
  );
  return { findings, files, changes };
}

function applyAll(procSys: ProcSys, plan: KernelPlan, options: ApplyOptions): Outcome {
  const { persistTo, statePath } = options;
  const { findings, files, changes } = planChanges(procSys, plan, options);
  if (changes.length > 0 || files.length > 0) {
    const before = changes.flatMap((found) => ("now" in found ? [{ key: found.setting.key, value: found.now }] : []));
    remember(statePath, { identity: procSys.identity(), before, files });
  }
  const rows = findings.map((found) => (found.verdict === "low" ? apply(procSys, plan, found) : untouched(found)));
  if (!persistTo) return { rows, files: [] };
  // A limit above fs.nr_open locks users out of login at the next boot, so no file is written until fs.nr_open is high enough.
  const nrOpen = procSys.read("fs.nr_open");
  if ("text" in nrOpen && Number(nrOpen.text) < processNofile(plan)) {
    const reason = `fs.nr_open is ${nrOpen.text}, below the ${processNofile(plan)} descriptors that the files would give a process: name fewer with --nofile`;
    return { rows, files: files.map(({ path }) => ({ path, status: "refused", reason })) };
  }
  return { rows, files: writeFiles(files, persistTo) };
}

/** What tune would do. Reads only, and needs no root. */
export function diff(procSys: ProcSys, plan: KernelPlan, options: TuneOptions): Outcome {
  const rows = findingsOf(procSys, plan, options).map((found): Tuned => {
    if (found.verdict !== "low") return untouched(found);
    const { setting, now, next } = found;
    const code = procSys.denied(setting.key);
    const reason = code === undefined ? {} : { reason: refusedReason(setting, code, procSys.isRoot) };
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

/** Whether everything is as wanted, the files that persist wrote included. Reads only. */
export function verify(procSys: ProcSys, plan: KernelPlan, options: TuneOptions & { readonly etc: Etc }): Outcome {
  const rows = findingsOf(procSys, plan, options).map((found): Tuned => {
    if (found.verdict !== "low") return untouched(found);
    const reason = "run `megagate tune`";
    return { setting: found.setting, before: found.now, after: found.next, status: "wanting", reason, failed: true };
  });
  return { rows, files: verifyFiles(readRollback(options.statePath)?.files ?? [], options.etc) };
}

type Judged = Finding | { readonly verdict: "kept"; readonly setting: Setting; readonly now: string };

function findingsOf(procSys: ProcSys, plan: KernelPlan, { allowLowering }: TuneOptions): Judged[] {
  return SETTINGS.map((setting) => {
    const found = assess(setting, plan, procSys.read(setting.key));
    const kept = found.verdict === "low" && !allowLowering && wouldLower(setting, plan, found.now);
    return kept ? { verdict: "kept", setting, now: found.now } : found;
  });
}

export const readerOf =
  (procSys: ProcSys): ReadValue =>
  (key) => {
    const reading = procSys.read(key);
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

function apply(procSys: ProcSys, plan: KernelPlan, found: Extract<Finding, { verdict: "low" }>): Tuned {
  const { setting, now, next } = found;
  const code = procSys.denied(setting.key) ?? procSys.write(setting.key, next);
  const reading = procSys.read(setting.key);
  const after = "text" in reading ? reading.text : now;
  if (code !== undefined) {
    const reason = refusedReason(setting, code, procSys.isRoot);
    return { setting, before: now, after, status: "refused", reason, failed: true };
  }
  const want = setting.wants(plan);
  if (!isLegible(want, after) || nextValue(want, after) !== undefined) {
    const reason = `the kernel took ${next} and made it ${after}: this is the maximum that it allows here`;
    return { setting, before: now, after, status: "clamped", reason, failed: true };
  }
  return { setting, before: now, after, status: isLower(after, now) ? "lowered" : "raised", failed: false };
}
