/** Folders are made by one function, which comes back whatever the file system says. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { makeFolders } from "../../src/folders.js";
import { trackedFiles } from "../support/repository.js";

describe("makeFolders", () => {
  it("makes a folder and those above it, and finds one that is there as good", () => {
    const root = mkdtempSync(join(tmpdir(), "megagate-folders-"));
    try {
      const path = join(root, "a/b/c");
      makeFolders(path, 0o700);
      makeFolders(`${path}/`, 0o700);
      assert.equal(statSync(path).mode & 0o777, 0o700);
      writeFileSync(join(root, "file"), "");
      assert.throws(() => makeFolders(join(root, "file")), /EEXIST/);
      assert.throws(() => makeFolders(join(root, "file/x")), /ENOTDIR/);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  // Node's own, with `recursive`, never returns from these.
  it("says what /proc and /sys say, instead of asking for ever", { timeout: 5000 }, () => {
    for (const path of ["/proc/x", "/proc/x/y/z", "/proc/self/fd/x/y"]) assert.throws(() => makeFolders(path), path);
    assert.throws(() => makeFolders("/sys/x/y"), /E(PERM|ACCES|ROFS|NOENT)/);
  });

  it("is the only one: no file of the program makes a folder in another way", () => {
    const files = trackedFiles().filter((file) => /^(src|load|sysctl)\//.test(file));
    const others = files.filter(
      (file) =>
        file.endsWith(".ts") && file !== "src/folders.ts" && /\bmkdir(Sync)?\b/.test(readFileSync(file, "utf8")),
    );
    assert.deepEqual(others, []);
  });
});
