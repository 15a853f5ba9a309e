/**
 * The rollback file: every changed setting, and every file that was written, as it was before the first change.
 * Runs in the command line.
 * It is on disk (fsync of file and folder) before the first kernel value is touched, and replaced by rename only, so
 * that an interruption at any moment leaves either the old file or the new one, and `untune` can go back from there.
 * The kernel forgets values at boot and each network namespace has its own, hence the identity in it.
 */
import { readFileSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import type { Identity } from "../kernel/proc-sys.js";
import { DROP_IN_PATH, LIMITS_PATH, MODULES_PATH, SYSCTL_PATH } from "../remedies/files.js";
import { replaceFile } from "./whole-file.js";

const FILE = z.strictObject({
  /** Nothing but these: the file can be forged no further than that. */
  path: z.enum([MODULES_PATH, SYSCTL_PATH, LIMITS_PATH, DROP_IN_PATH]),
  before: z.strictObject({ text: z.string(), mode: z.int(), uid: z.int(), gid: z.int() }).nullable(),
  /** Folders above it that did not exist. */
  folders: z.int().min(0),
  /** Every text that was written there, the newest last: anything else in its place is somebody's own work. */
  ours: z.array(z.string()).min(1),
});

const SCHEMA = z.strictObject({
  version: z.literal(1),
  bootId: z.string(),
  network: z.string(),
  before: z.array(z.strictObject({ key: z.string().regex(/^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/), value: z.string() })),
  files: z.array(FILE).default([]),
});

export type RememberedFile = z.infer<typeof FILE>;
type Before = z.infer<typeof SCHEMA>["before"];
export type Rollback = z.infer<typeof SCHEMA>;

/** The file's content; undefined where there is none. */
export function readRollback(path: string): Rollback | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new GatewayError("failed", `cannot read the rollback file ${path}: ${(error as Error).message}`);
  }
  try {
    return SCHEMA.parse(JSON.parse(text));
  } catch {
    throw new GatewayError(
      "failed",
      `${path} is not a rollback file of megagate, so nothing was changed. Move it away, or name another with --state.`,
    );
  }
}

/** Adds what is not yet remembered and keeps what is: the first "before" is the only true one. */
export function remember(
  path: string,
  identity: Identity,
  changes: Before,
  files: readonly RememberedFile[] = [],
): void {
  const old = readRollback(path);
  const sameBoot = old?.bootId === identity.bootId;
  if (old && sameBoot) refuseOtherNetwork(path, old, identity);
  // After a boot the kernel has forgotten what tune wrote, and the values now are the true "before": unless files of
  // ours set them again.
  const kept = old && (sameBoot || old.files.length > 0) ? old.before : [];
  const added = changes.filter(({ key }) => !kept.some((entry) => entry.key === key));
  writeRollback(path, {
    version: 1,
    ...identity,
    before: [...kept, ...added],
    files: mergeFiles(old?.files ?? [], files),
  });
}

function mergeFiles(old: readonly RememberedFile[], written: readonly RememberedFile[]): RememberedFile[] {
  const merged = old.map((entry) => {
    const again = written.find(({ path }) => path === entry.path);
    if (!again) return entry;
    return { ...entry, ours: [...entry.ours.filter((text) => !again.ours.includes(text)), ...again.ours] };
  });
  return [...merged, ...written.filter(({ path }) => !old.some((entry) => entry.path === path))];
}

export function refuseOtherNetwork(path: string, rollback: Rollback, identity: Identity): void {
  if (rollback.network === identity.network) return;
  throw new GatewayError(
    "failed",
    `${path} holds the values of another network namespace (${rollback.network}, this is ${identity.network}), so nothing was changed. ` +
      "Run `megagate untune` there, name another file with --state, or delete it if that namespace is gone.",
  );
}

/** Throws `failed` where it cannot be made. */
export function makeRollbackFolder(path: string): void {
  orSayWhatToDo(path, () => makeFolders(dirname(path)));
}

export function writeRollback(path: string, rollback: Rollback): void {
  const bytes = Buffer.from(`${JSON.stringify(rollback, null, 2)}\n`);
  makeRollbackFolder(path);
  orSayWhatToDo(path, () => replaceFile(path, { bytes, mode: 0o600, beside: `${path}.${process.pid}.tmp` }));
}

function orSayWhatToDo(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new GatewayError(
      "failed",
      `cannot write the rollback file ${path}: ${(error as Error).message}. No further setting was changed. ` +
        "Run as root, or name a file that can be written with --state.",
    );
  }
}

export function deleteRollback(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    throw new GatewayError("failed", `all is restored, but ${path} cannot be deleted: ${(error as Error).message}`);
  }
}
