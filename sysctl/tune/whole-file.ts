/**
 * Replaces a file as a whole or not at all: the new one is written beside it, completely, brought to disk, and only then
 * put in its place. A write may take less than it was given without an error, as on a disk that is nearly full; what was
 * there before stays until every byte of the new one is known to be on disk. Runs in the command line.
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
  /** Where it is written first: beside `path`. What stands there, such as the rest of a killed run, is removed. */
  readonly beside: string;
}

/** How many of the bytes were written; the file system's own, or a test's. */
type Write = (descriptor: number, bytes: Uint8Array, at: number) => number;
const write: Write = (descriptor, bytes, at) => writeSync(descriptor, bytes, at);

/** Throws what the file system throws; then `path` is as it was and nothing is left beside it. */
export function replaceFile(path: string, file: NewFile, writeSome = write): void {
  rmSync(file.beside, { force: true });
  try {
    writeWhole(file, writeSome);
    renameSync(file.beside, path);
  } catch (error) {
    rmSync(file.beside, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

function writeWhole({ beside, bytes, mode, owner }: NewFile, writeSome: Write): void {
  const descriptor = openSync(beside, "wx", 0o600);
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
  if (owner) chownSync(beside, owner.uid, owner.gid);
  chmodSync(beside, mode);
}

/** So that the rename outlives a crash. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
