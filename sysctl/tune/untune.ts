/**
 * Puts the kernel and the files back as the rollback file remembers them. Runs in the command line; prints nothing.
 * The reverse of the order of writing, files first; repeatable at any point, since what is restored already is only read.
 */
import { refusedReason } from "../check.js";
import type { Host } from "../kernel/proc-sys.js";
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
  | { readonly kind: "nothing" }
  /** The machine was booted since: the kernel's values are the boot's, not ours. */
  | { readonly kind: "booted" }
  | { readonly kind: "restored"; readonly rows: readonly Restored[]; readonly files: readonly FileRow[] };

/** Writes every remembered value back, last first. What cannot be restored stays in the file for another try. */
export const untune = (host: Host, etc: Etc, statePath: string): Untuned =>
  whileLocked(statePath, () => goBack(host, etc, statePath));

function goBack(host: Host, etc: Etc, statePath: string): Untuned {
  const rollback = readRollback(statePath);
  if (!rollback) return { kind: "nothing" };
  const identity = host.identity();
  const booted = rollback.bootId !== identity.bootId;
  if (booted && rollback.files.length === 0) {
    deleteRollback(statePath);
    return { kind: "booted" };
  }
  if (!booted) refuseOtherNetwork(statePath, rollback, identity);
  const files = restoreFiles(rollback.files, etc);
  const remembered = booted
    ? rollback.before.filter((entry) => cameFromOurFile(host, rollback, entry.key))
    : rollback.before;
  const lastFirst = remembered.toSorted((a, b) => place(b.key) - place(a.key));
  const rows = lastFirst.map(({ key, value }) => restore(host, key, value));
  const leftRows = rollback.before.filter(({ key }) => rows.some((row) => row.key === key && row.status === "refused"));
  const leftFiles = rollback.files.filter(({ path }) =>
    files.some((row) => row.path === path && row.status === "refused"),
  );
  if (leftRows.length + leftFiles.length === 0) deleteRollback(statePath);
  else writeRollback(statePath, { ...rollback, ...identity, before: leftRows, files: leftFiles });
  return { kind: "restored", rows, files };
}

/** After a boot the kernel has its own values but for those that our sysctl.d file set again. */
function cameFromOurFile(host: Host, rollback: Rollback, key: string): boolean {
  const reading = host.read(key);
  return "text" in reading && setByOurFile(rollback, key, reading.text);
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
