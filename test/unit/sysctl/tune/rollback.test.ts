/** The file that holds the original values: sysctl/tune/rollback.ts. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { readRollback, remember } from "../../../../sysctl/tune/rollback.js";

const HERE = { bootId: "boot-1", network: "net:[1]" };
const before = (key: string, value: string): { key: string; value: string }[] => [{ key, value }];

describe("the rollback file", () => {
  let folder = "";
  let path = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "megagate-rollback-"));
    path = join(folder, "deep", "rollback.json");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is made with its folder, and leaves no temporary file", () => {
    remember(path, { identity: HERE, before: before("fs.nr_open", "1") });
    assert.deepEqual(readdirSync(join(folder, "deep")), ["rollback.json"]);
    assert.deepEqual(readRollback(path), { version: 1, ...HERE, before: before("fs.nr_open", "1"), files: [] });
  });

  it("keeps the first value of a setting and adds new settings", () => {
    remember(path, { identity: HERE, before: before("fs.nr_open", "1") });
    remember(path, { identity: HERE, before: [...before("fs.nr_open", "2"), ...before("fs.file-max", "3")] });
    assert.deepEqual(readRollback(path)?.before, [...before("fs.nr_open", "1"), ...before("fs.file-max", "3")]);
  });

  it("starts again after a boot, because the kernel forgot what was tuned", () => {
    remember(path, { identity: HERE, before: before("fs.nr_open", "1") });
    remember(path, { identity: { ...HERE, bootId: "boot-2" }, before: before("fs.nr_open", "2") });
    assert.deepEqual(readRollback(path)?.before, before("fs.nr_open", "2"));
  });

  it("refuses to mix two network namespaces, and stays as it was", () => {
    remember(path, { identity: HERE, before: before("fs.nr_open", "1") });
    const text = readFileSync(path, "utf8");
    assert.throws(
      () => remember(path, { identity: { ...HERE, network: "net:[2]" }, before: before("fs.nr_open", "2") }),
      {
        name: "GatewayError",
        kind: "failed",
        message: /another network namespace.*--state/,
      },
    );
    assert.equal(readFileSync(path, "utf8"), text);
  });

  it("is refused when it is something else", () => {
    path = join(folder, "notes.json");
    for (const text of [
      "",
      "{}",
      "[1]",
      '{"version":1,"bootId":"","network":"","before":[{"key":"../x","value":"1"}]}',
    ]) {
      writeFileSync(path, text);
      assert.throws(() => readRollback(path), { kind: "failed", message: /is not a rollback file.*--state/ });
    }
  });

  it("may be absent; where it cannot be written or read, the error names the remedy", () => {
    assert.equal(readRollback(path), undefined);
    writeFileSync(join(folder, "file"), "");
    const impossible = join(folder, "file", "rollback.json");
    assert.throws(() => remember(impossible, { identity: HERE, before: [] }), {
      kind: "failed",
      message: /rollback file.*ENOTDIR/,
    });
    assert.throws(() => readRollback(folder), { kind: "failed", message: /cannot read.*EISDIR/ });
  });
});
