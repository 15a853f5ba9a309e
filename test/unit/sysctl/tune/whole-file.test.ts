/** A file is replaced as a whole or stays as it was, however little of the new one the disk takes. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { replaceFile } from "../../../../sysctl/tune/whole-file.js";

const NEW = { bytes: Buffer.from("new and longer"), mode: 0o640 };

/** A disk of 64 KiB, nearly full: writes a rollback file and a file of etc, and prints what is left of both. */
const ON_A_FULL_DISK = `
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { openEtc } from ${JSON.stringify(fileURLToPath(new URL("../../../../sysctl/tune/etc.js", import.meta.url)))};
import { writeRollback } from ${JSON.stringify(fileURLToPath(new URL("../../../../sysctl/tune/rollback.js", import.meta.url)))};
const rollback = (value) => ({ version: 1, bootId: "b", network: "n", before: [{ key: "a.b", value }], files: [] });
writeRollback("/mnt/r/rollback.json", rollback("first"));
const etc = openEtc("/mnt");
const state = (text) => ({ text, mode: 0o644, uid: 0, gid: 0 });
etc.write("/etc/x.conf", state("the user's own"));
writeFileSync("/mnt/filler", "x".repeat(36_000));
const outcome = (work) => { try { work(); return "written"; } catch (error) { return error.kind; } };
console.log(JSON.stringify([
  outcome(() => writeRollback("/mnt/r/rollback.json", rollback("y".repeat(30_000)))),
  JSON.parse(readFileSync("/mnt/r/rollback.json", "utf8")).before[0].value,
  outcome(() => etc.write("/etc/x.conf", state("z".repeat(30_000)))),
  readFileSync("/mnt/etc/x.conf", "utf8"),
  [...readdirSync("/mnt/r"), ...readdirSync("/mnt/etc")],
]));
`;

const MOUNT = 'mount -t tmpfs -o size=64k none /mnt && exec "$0" --input-type=module -e "$1"';
const inNamespace = (script: string): { status: number | null; stdout: string; stderr: string } =>
  spawnSync("unshare", ["--mount", "sh", "-c", MOUNT, process.execPath, script], { encoding: "utf8" });

describe("a file that is replaced", () => {
  let folder = "";
  let path = "";
  let temporaryPath = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "megagate-whole-"));
    path = join(folder, "file");
    temporaryPath = `${path}.new`;
    writeFileSync(path, "old");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("has every byte, though the disk takes them a few at a time, and its mode", () => {
    // The rest of a run that was killed.
    writeFileSync(temporaryPath, "half");
    replaceFile(path, { ...NEW, temporaryPath }, (descriptor, bytes, at) =>
      writeSync(descriptor, bytes, at, Math.min(3, bytes.length - at)),
    );
    assert.equal(readFileSync(path, "utf8"), "new and longer");
    assert.equal(statSync(path).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(folder), ["file"]);
  });

  it("stays as it was when the disk takes a part and then nothing, or fails, or lies", () => {
    let writes = 0;
    const few = (descriptor: number, bytes: Uint8Array, at: number): number =>
      writeSync(descriptor, bytes, at, Math.min(3, bytes.length - at));
    for (const write of [
      (...args: Parameters<typeof few>) => (writes++ === 0 ? few(...args) : 0),
      (...args: Parameters<typeof few>) => {
        few(...args);
        throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
      },
      () => NEW.bytes.length,
    ]) {
      assert.throws(() => replaceFile(path, { ...NEW, temporaryPath }, write), /is the disk full|ENOSPC/);
      assert.equal(readFileSync(path, "utf8"), "old");
      assert.deepEqual(readdirSync(folder), ["file"]);
    }
  });

  const noDisk = inNamespace("").status !== 0 && "needs root, to mount a small disk: run the tests as root";
  it("on a disk that is nearly full, the rollback file and the user's own file stay", { skip: noDisk }, () => {
    const { status, stdout, stderr } = inNamespace(ON_A_FULL_DISK);
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), [
      ...["failed", "first"],
      ...["failed", "the user's own"],
      ["rollback.json", "x.conf"],
    ]);
  });
});
