/**
 * Allows one `tune` or `untune` at a time for a rollback file: each of two runs would write what it has read, and the original
 * values, which only that file still holds, could be lost. The lock is on the file's folder, because the file itself is replaced
 * by rename; the kernel holds it, so a killed run leaves no lock. Runs in the command line.
 */
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { GatewayError } from "../../src/errors.js";
import { EAGAIN, lockFile } from "../kernel/libc.js";

/**
 * Runs `action` while no other run changes the rollback file or the settings in it; throws `failed` where one does. Where the
 * folder is missing or cannot be opened, or its file system has no locks, it runs without a lock: if it then cannot write, it
 * throws by itself.
 */
export function whileLocked<T>(statePath: string, action: () => T): T {
  const folder = openFolder(dirname(statePath));
  try {
    if (folder !== undefined && lockFile(folder) === -EAGAIN) {
      throw new GatewayError(
        "failed",
        `another megagate tune or untune is running with ${statePath} (its folder is locked), so nothing was changed. ` +
          "Run this one again when the other has ended.",
      );
    }
    return action();
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
