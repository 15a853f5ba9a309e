/**
 * Replaces a file as a whole or not at all: the new file is written completely next to the old one, synced to disk, and only then
 * renamed over it. A write may take fewer bytes than it was given without an error, as on a nearly full disk; the old file stays
 * until every byte of the new one is known to be on disk. Runs in the command line.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

export interface NewFile {
  readonly bytes: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Where it is written first, in the folder of the old file. A file with that name, such as that of a killed run, is removed. */
  readonly temporaryPath: string;
}

/** Returns how many of the bytes were written; tests replace the file system's own. */
type Write = (descriptor: number, bytes: Uint8Array, at: number) => number;
const write: Write = (descriptor, bytes, at) => writeSync(descriptor, bytes, at);

/** Throws the file system's error; then `path` is unchanged and the temporary file is gone. */
export function replaceFile(path: string, file: NewFile, writeSome = write): void {
  rmSync(file.temporaryPath, { force: true });
  try {
    writeWhole(file, writeSome);
    renameSync(file.temporaryPath, path);
  } catch (error) {
    rmSync(file.temporaryPath, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

function writeWhole({ temporaryPath, bytes, mode, owner }: NewFile, writeSome: Write): void {
  const descriptor = openSync(temporaryPath, "wx", 0o600);
  try {
    for (let done = 0; done < bytes.length; ) {
      const taken = writeSome(descriptor, bytes, done);
      if (taken <= 0) throw new Error(`only ${done} of ${bytes.length} bytes could be written; is the disk full?`);
      done += taken;
    }
    fsyncSync(descriptor);
    const { size } = fstatSync(descriptor);
    if (size !== bytes.length) throw new Error(`${size} of ${bytes.length} bytes are there; is the disk full?`);
  } finally {
    closeSync(descriptor);
  }
  if (owner) chownSync(temporaryPath, owner.uid, owner.gid);
  chmodSync(temporaryPath, mode);
}

/** Makes the rename survive a crash. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
