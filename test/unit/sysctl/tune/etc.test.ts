/** Reading, replacing and removing configuration files below a root folder: sysctl/tune/etc.ts. */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
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
import { type Etc, openEtc } from "../../../../sysctl/tune/etc.js";

const PATH = "/etc/deep/down/a.conf";

describe("a configuration file", () => {
  let root = "";
  let etc: Etc;
  const own = { mode: 0o644, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "megagate-etc-"));
    etc = openEtc(root);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("comes back byte for byte, with its permissions, whatever is in it", () => {
    mkdirSync(join(root, "etc"));
    const bytes = Buffer.from([0, 255, 195, 40, 10]);
    writeFileSync(join(root, "etc/x.conf"), bytes);
    chmodSync(join(root, "etc/x.conf"), 0o640);
    const state = etc.state("/etc/x.conf");
    assert.ok(state);
    etc.write("/etc/x.conf", { ...own, text: "other" });
    etc.write("/etc/x.conf", state);
    assert.deepEqual(readFileSync(join(root, "etc/x.conf")), bytes);
    assert.equal(statSync(join(root, "etc/x.conf")).mode & 0o7777, 0o640);
  });

  it("is made with its folders and leaves nothing else; removing takes those folders and no more", () => {
    mkdirSync(join(root, "etc"));
    assert.equal(etc.missingFolders(PATH), 2);
    etc.write(PATH, { ...own, text: "x" });
    assert.deepEqual(readdirSync(join(root, "etc/deep/down")), ["a.conf"]);
    assert.equal(etc.missingFolders(PATH), 0);
    etc.remove(PATH, 2);
    assert.deepEqual(readdirSync(join(root, "etc")), []);
  });

  it("leaves a folder in which somebody else has put something", () => {
    etc.write(PATH, { ...own, text: "x" });
    writeFileSync(join(root, "etc/deep/other"), "");
    etc.remove(PATH, 3);
    assert.deepEqual(readdirSync(join(root, "etc/deep")), ["other"]);
  });

  it("is removed together with a new one that was left half written", () => {
    etc.write(PATH, { ...own, text: "x" });
    writeFileSync(join(root, `${PATH}.megagate-new`), "hal");
    etc.remove(PATH, 3);
    assert.equal(existsSync(join(root, "etc")), false);
  });

  it("is not changed where it is a link", () => {
    mkdirSync(join(root, "etc"));
    symlinkSync("elsewhere", join(root, "etc/x.conf"));
    assert.throws(() => etc.state("/etc/x.conf"), { kind: "failed", message: /link.*move it away/ });
  });

  it("says what to do where it cannot be written", () => {
    writeFileSync(join(root, "etc"), "");
    assert.throws(() => etc.write(PATH, { ...own, text: "" }), { kind: "failed", message: /cannot write \/etc\/deep/ });
    assert.deepEqual(etc.names("/etc/sysctl.d"), []);
    assert.equal(etc.text("/etc/sysctl.conf"), undefined);
  });
});
