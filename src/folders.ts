/**
 * Makes a folder and its parents. Replaces Node's own `recursive`, which loops for ever where a file system answers
 * "no such file" although the parent exists, as /proc does (Node 20 to 24). Any process may call it.
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** Throws what the operating system said; a path that is a folder already is as good. */
export function makeFolders(path: string, mode = 0o777): void {
  try {
    makeOne(path, mode);
  } catch (error) {
    const parent = dirname(path);
    const isParentMissing = (error as NodeJS.ErrnoException).code === "ENOENT" && !exists(parent);
    if (!isParentMissing || parent === path) throw error;
    makeFolders(parent, mode);
    makeOne(path, mode);
  }
}

function makeOne(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (!isFolder(path)) throw error;
  }
}

const isFolder = (path: string): boolean => {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
};
const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
