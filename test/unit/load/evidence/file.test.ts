/** The evidence of a run is never lost: its path is tested before the run, and an older file is replaced whole or not at all. */
import assert from "node:assert/strict";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Evidence } from "../../../../load/evidence/evidence.js";
import { EvidenceFile } from "../../../../load/evidence/file.js";

const evidence = { schema: "megagate.evidence.v1", target: 5 } as Evidence;
const TEXT = `${JSON.stringify(evidence, null, 2)}\n`;

describe("the evidence file", () => {
  let folder = "";
  let path = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "megagate-evidence-"));
    path = join(folder, "run.json");
  });
  afterEach(() => {
    chmodSync(folder, 0o700);
    rmSync(folder, { recursive: true });
  });

  it("is written to a temporary file and renamed; the test of its path leaves nothing behind and keeps an older file", () => {
    writeFileSync(path, "older");
    const before = statSync(path).ino;
    const file = new EvidenceFile(path);
    assert.deepEqual([readdirSync(folder), readFileSync(path, "utf8")], [["run.json"], "older"]);
    assert.deepEqual(file.keep(evidence), { path });
    assert.deepEqual([readdirSync(folder), readFileSync(path, "utf8")], [["run.json"], TEXT]);
    assert.notEqual(statSync(path).ino, before);
  });

  it("may be in folders that do not exist yet, or are removed meanwhile", () => {
    const deep = join(folder, "a/b/run.json");
    const file = new EvidenceFile(deep);
    rmSync(join(folder, "a"), { recursive: true });
    assert.deepEqual(file.keep(evidence), { path: deep });
    assert.equal(readFileSync(deep, "utf8"), TEXT);
  });

  it("may be a symbolic link, which stays one", () => {
    const link = join(folder, "link.json");
    writeFileSync(path, "older");
    symlinkSync(path, link);
    new EvidenceFile(link).keep(evidence);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.equal(readFileSync(path, "utf8"), TEXT);
  });

  it("may be a device, which is written to and never replaced", () => {
    assert.deepEqual(new EvidenceFile("/dev/null").keep(evidence), { path: "/dev/null" });
    assert.ok(statSync("/dev/null").isCharacterDevice());
  });

  it("goes elsewhere when its path fails at the end, and the message says where and why", () => {
    const { path: other, why } = new EvidenceFile("/dev/full").keep(evidence);
    assert.match(why ?? "", /^the evidence could not be written to \/dev\/full: ENOSPC.*; it is in \/.*\.json$/);
    assert.equal(readFileSync(other!, "utf8"), TEXT);
    rmSync(other!);
  });

  it("goes to stdout when that fails too", () => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = "/nowhere";
    try {
      const kept = new EvidenceFile("/dev/full").keep(evidence);
      assert.equal(kept.path, undefined);
      assert.match(kept.why ?? "", /nor to \/nowhere\/megagate-evidence-\d+\.json; it follows on stdout$/);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
  });

  it("is refused before the run where it can never be written", { timeout: 5000 }, () => {
    writeFileSync(path, "");
    for (const bad of ["/proc/x/y", "/proc/x", folder, join(path, "x.json")]) {
      assert.throws(() => new EvidenceFile(bad), /^GatewayError: --report: .* cannot be written: .*; name a file/, bad);
    }
  });
});
