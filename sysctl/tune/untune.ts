/**
 * Restores the kernel values and the files that the rollback file holds. Runs in the command line; prints nothing.
 * Works in the reverse of the order of writing, files first. It may be repeated at any point: a value that is restored already is
 * only read.
 */
import { refusedReason } from "../check.js";
import type { ProcSys } from "../kernel/proc-sys.js";
import { SETTINGS } from "../settings.js";
import type { Etc } from "./etc.js";
import { whileLocked } from "./lock.js";
import { type FileRow, restoreFiles, setByOurFile } from "./persist.js";
import { deleteRollback, type Rollback, readRollback, refuseOtherNetwork, writeRollback } from "./rollback.js";

export interface Restored {
  readonly key: string;
  readonly before?: string;
  readonly after?: string;
  readonly status: "restored" | "unchanged" | "refused";
  readonly reason?: string;
}

export type Untuned =
  | { readonly type: "nothing" }
  /** The machine was booted since: the kernel has the values of that boot, not ours. */
  | { readonly type: "booted" }
  | { readonly type: "restored"; readonly rows: readonly Restored[]; readonly files: readonly FileRow[] };

/**
 * Writes every remembered value back, last first. What cannot be restored stays in the file for another attempt. Throws
 * `failed` where another run holds the lock.
 */
export const untune = (procSys: ProcSys, etc: Etc, statePath: string): Untuned =>
  whileLocked(statePath, () => restoreAll(procSys, etc, statePath));

function restoreAll(procSys: ProcSys, etc: Etc, statePath: string): Untuned {
  const rollback = readRollback(statePath);
  if (!rollback) return { type: "nothing" };
  const identity = procSys.identity();
  const booted = rollback.bootId !== identity.bootId;
  if (booted && rollback.files.length === 0) {
    deleteRollback(statePath);
    return { type: "booted" };
  }
  if (!booted) refuseOtherNetwork(statePath, rollback, identity);
  const files = restoreFiles(rollback.files, etc);
  const remembered = booted
    ? rollback.before.filter((entry) => cameFromOurFile(procSys, rollback, entry.key))
    : rollback.before;
  const lastFirst = remembered.toSorted((a, b) => tableIndex(b.key) - tableIndex(a.key));
  const rows = lastFirst.map(({ key, value }) => restore(procSys, key, value));
  const leftRows = rollback.before.filter(({ key }) => rows.some((row) => row.key === key && row.status === "refused"));
  const leftFiles = rollback.files.filter(({ path }) =>
    files.some((row) => row.path === path && row.status === "refused"),
  );
  if (leftRows.length + leftFiles.length === 0) deleteRollback(statePath);
  else writeRollback(statePath, { ...rollback, ...identity, before: leftRows, files: leftFiles });
  return { type: "restored", rows, files };
}

/** After a boot the kernel has its own values, except those that our sysctl.d file set again. */
function cameFromOurFile(procSys: ProcSys, rollback: Rollback, key: string): boolean {
  const reading = procSys.read(key);
  return "text" in reading && setByOurFile(rollback, key, reading.text);
}

/** Position in the table; −1, restored last, for a key that an older build changed and this one does not know. */
const tableIndex = (key: string): number => SETTINGS.findIndex((setting) => setting.key === key);

function restore(procSys: ProcSys, key: string, value: string): Restored {
  const first = procSys.read(key);
  const before = "text" in first ? { before: first.text } : {};
  if ("text" in first && first.text === value) return { key, ...before, after: value, status: "unchanged" };
  const code = procSys.write(key, value);
  const reading = procSys.read(key);
  const after = "text" in reading ? { after: reading.text } : {};
  if (code !== undefined) {
    const setting = SETTINGS[tableIndex(key)] ?? { scope: "host" };
    return { key, ...before, ...after, status: "refused", reason: refusedReason(setting, code, procSys.isRoot) };
  }
  if (after.after !== value) {
    const reason = `the kernel took ${value} and made it ${after.after ?? "unreadable"}`;
    return { key, ...before, ...after, status: "refused", reason };
  }
  return { key, ...before, ...after, status: "restored" };
}
