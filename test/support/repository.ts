/**
 * The files of this repository, for tests that read the project itself. Git says which they are; where there is no git, or a copy
 * without .git (a tar of it, as .ci/newer-node makes), the folder is walked instead, without what is built or installed.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const NOT_TRACKED = new Set(["node_modules", "dist", ".git", "tmp"]);

const walk = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_TRACKED.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return walk(path);
    return entry.isFile() ? [path] : [];
  });

/** Paths relative to the root, where tests run. */
export function trackedFiles(): string[] {
  const { status, stdout: list } = spawnSync("git", ["ls-files", "-z"], { encoding: "utf8" });
  if (status !== 0) return walk(".");
  return list.split("\0").filter((path) => path !== "" && existsSync(path));
}
