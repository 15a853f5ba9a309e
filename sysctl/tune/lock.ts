/**
 * One `tune` or `untune` at a time for a rollback file: two at once would each write what they have read, and the values of
 * before the first change, which only that file still knows, could be lost. The lock is on the file's folder, because the
 * file itself is replaced by rename; the kernel holds it, so a run that is killed leaves none. Runs in the command line.
 */
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { GatewayError } from "../../src/errors.js";
import { EAGAIN, lockFile } from "../kernel/libc.js";

/**
 * Runs `act` while nobody else changes the rollback file or what it remembers. Where the folder is missing or cannot be opened,
 * or its file system knows no locks, it runs all the same: what it then cannot write, it says itself.
 */
export function whileLocked<T>(statePath: string, act: () => T): T {
  const folder = openFolder(dirname(statePath));
  try {
    if (folder !== undefined && lockFile(folder) === -EAGAIN) {
      throw new GatewayError(
        "failed",
        `another megagate tune or untune is at work with ${statePath} (its folder is locked), so nothing was changed. ` +
          "Run it again when that one has ended.",
      );
    }
    return act();
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}

function openFolder(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch {
    return undefined;
  }
}
