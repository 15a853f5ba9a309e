/**
 * The rollback file: every changed setting and every written file as they were before the first change.
 * Runs in the command line.
 * It is on disk (fsync of file and folder) before the first kernel value changes, and it is replaced by rename only, so that an
 * interruption at any moment leaves either the old file or the new one, and `untune` can restore from it.
 * The kernel forgets values at boot and each network namespace has its own values, hence the identity in the file.
 */
import { readFileSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import type { KernelIdentity } from "../kernel/proc-sys.js";
import { DROP_IN_PATH, LIMITS_PATH, MODULES_PATH, SYSCTL_PATH } from "../remedies/files.js";
import { replaceFile } from "./whole-file.js";

const FILE = z.strictObject({
  /** Only these paths, so that a forged rollback file cannot make untune write anywhere else. */
  path: z.enum([MODULES_PATH, SYSCTL_PATH, LIMITS_PATH, DROP_IN_PATH]),
  before: z.strictObject({ text: z.string(), mode: z.int(), uid: z.int(), gid: z.int() }).nullable(),
  /** Folders above it that did not exist. */
  folders: z.int().min(0),
  /** Every text that tune wrote there, the newest last: any other text was edited by somebody and must stay. */
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

/** The file's content; undefined where the file does not exist. */
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

interface Changes {
  readonly identity: KernelIdentity;
  /** Settings that are about to change, with their present values. */
  readonly before: Before;
  /** Files that are about to be written. */
  readonly files?: readonly RememberedFile[];
}

/** Adds what the file does not hold yet and keeps what it holds: only the first "before" is the original value. */
export function remember(path: string, { identity, before, files = [] }: Changes): void {
  const old = readRollback(path);
  const sameBoot = old?.bootId === identity.bootId;
  if (old && sameBoot) refuseOtherNetwork(path, old, identity);
  // After a boot the kernel has forgotten what tune wrote, so the present values are the original ones, unless our own
  // files set them again.
  const kept = old && (sameBoot || old.files.length > 0) ? old.before : [];
  const added = before.filter(({ key }) => !kept.some((entry) => entry.key === key));
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

export function refuseOtherNetwork(path: string, rollback: Rollback, identity: KernelIdentity): void {
  if (rollback.network === identity.network) return;
  throw new GatewayError(
    "failed",
    `${path} holds the values of another network namespace (${rollback.network}, this is ${identity.network}), so nothing was changed. ` +
      "Run `megagate untune` there, name another file with --state, or delete it if that namespace is gone.",
  );
}

/** Throws `failed` where it cannot be made. */
export function makeRollbackFolder(path: string): void {
  withRemedy(path, () => makeFolders(dirname(path)));
}

export function writeRollback(path: string, rollback: Rollback): void {
  const bytes = Buffer.from(`${JSON.stringify(rollback, null, 2)}\n`);
  makeRollbackFolder(path);
  withRemedy(path, () => replaceFile(path, { bytes, mode: 0o600, temporaryPath: `${path}.${process.pid}.tmp` }));
}

function withRemedy(path: string, write: () => void): void {
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
