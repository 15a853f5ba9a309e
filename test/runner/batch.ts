/**
 * Runs many test files in one process: `node batch.js FILE…`. Each file's tests stand in a suite that is named by its path, which
 * is how a failure finds its file. Files run one after the other, and must leave the process as they found it.
 */
import { resolve } from "node:path";
import { describe } from "node:test";
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) {
  // A file that does not load is a suite that fails.
  describe(file, async () => {
    await import(pathToFileURL(resolve("dist", file.replace(/\.ts$/, ".js"))).href);
  });
}
