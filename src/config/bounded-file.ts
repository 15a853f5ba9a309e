/**
 * Reads a file that a person named, up to a bound, whatever stands at the path: /dev/zero has no end. The supervisor and the
 * command line only.
 */
import { closeSync, openSync, readSync } from "node:fs";

/** Throws what the operating system says; undefined where there is more than `maxBytes`. */
export function readBounded(path: string, maxBytes: number): Buffer | undefined {
  const bytes = Buffer.alloc(maxBytes + 1);
  const file = openSync(path, "r");
  try {
    let length = 0;
    for (let read = -1; read !== 0 && length <= maxBytes; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null);
    }
    return length > maxBytes ? undefined : bytes.subarray(0, length);
  } finally {
    closeSync(file);
  }
}
