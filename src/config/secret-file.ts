/**
 * Files that hold keys of the admin port: read whole, bounded, and only where other users of the machine cannot read them
 * too. No fault quotes what stands in the file, because a key may stand in the wrong place. Supervisor and command line.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { GatewayError } from "../errors.js";

/** A thousand keys have 100 KB. */
const MAX_BYTES = 256 * 1024;
const OTHERS_MAY_READ = 0o004;
const OTHERS_MAY_WRITE = 0o002;

/** What makes a file unusable; `option` is the flag that named it. Throws `config` with the remedy. */
export interface SecretFile {
  readonly option: string;
  readonly path: string;
}

export interface SecretText {
  readonly text: string;
  /** Other users of the machine may read it: for digests that does not matter, for keys it does. */
  readonly isPublic: boolean;
}

export function readSecretFile(file: SecretFile): SecretText {
  const { bytes, mode } = readBounded(file);
  if ((mode & OTHERS_MAY_WRITE) !== 0)
    throw unusable(file, `everybody on this machine may write it: chmod o-rw ${file.path}`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { text, isPublic: (mode & OTHERS_MAY_READ) !== 0 };
  } catch {
    throw unusable(file, "it is not UTF-8 text");
  }
}

export const unusable = ({ option, path }: SecretFile, why: string): GatewayError =>
  new GatewayError("config", `${option}: ${path}: ${why}`);

export const publicKeys = (file: SecretFile): GatewayError =>
  unusable(file, `other users of this machine may read it, and it holds keys: chmod o-rwx ${file.path}`);

/** A regular file: to open a pipe that nobody writes to would wait for ever. */
function readBounded(file: SecretFile): { bytes: Buffer; mode: number } {
  let descriptor: number | undefined;
  try {
    if (!statSync(file.path).isFile()) throw unusable(file, "it is not a file");
    descriptor = openSync(file.path, "r");
    const bytes = Buffer.alloc(MAX_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length <= MAX_BYTES; length += read) {
      read = readSync(descriptor, bytes, length, bytes.length - length, null);
    }
    if (length > MAX_BYTES) throw unusable(file, `it has more than ${MAX_BYTES} bytes`);
    return { bytes: bytes.subarray(0, length), mode: fstatSync(descriptor).mode };
  } catch (error) {
    throw error instanceof GatewayError ? error : unusable(file, `cannot be read: ${(error as Error).message}`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
