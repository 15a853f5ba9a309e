/** Reading and writing kernel values below a root folder: sysctl/kernel/proc-sys.ts. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openProcSys } from "../../../../sysctl/kernel/proc-sys.js";
import { inFixture, STOCK } from "../fixture.js";

describe("the host", () => {
  it("gives a value without its line end and keeps the tabs inside", () =>
    inFixture(STOCK, ({ root }) => {
      const host = openProcSys(root);
      assert.deepEqual(host.read("net.ipv4.tcp_wmem"), { text: "4096\t16384\t4194304" });
      assert.deepEqual(host.read("net.ipv4.ip_local_reserved_ports"), { text: "" });
      assert.deepEqual(host.read("module.nf_conntrack.hashsize"), { text: "262144" });
    }));

  it("replaces the whole value, also by a shorter or an empty one", () =>
    inFixture(STOCK, (fixture) => {
      const host = openProcSys(fixture.root);
      assert.equal(host.write("fs.file-max", "7"), undefined);
      assert.equal(fixture.get("fs.file-max"), "7");
      assert.equal(host.write("fs.file-max", ""), undefined);
      assert.equal(fixture.get("fs.file-max"), "");
    }));

  it("answers with the errno's name and never creates a setting that the kernel does not have", () =>
    inFixture({}, ({ root }) => {
      const host = openProcSys(root);
      assert.deepEqual(host.read("net.ipv4.tcp_migrate_req"), { code: "ENOENT" });
      assert.equal(host.denied("net.ipv4.tcp_migrate_req"), "ENOENT");
      assert.equal(host.write("net.ipv4.tcp_migrate_req", "1"), "ENOENT");
      assert.equal(existsSync(join(root, "proc/sys/net/ipv4/tcp_migrate_req")), false);
    }));

  it("takes nothing but setting names, so that a forged rollback file cannot name a file", () => {
    const host = openProcSys("/nonexistent");
    for (const key of ["../etc/passwd", "fs/../../etc", "fs..x", "/etc/passwd", "fs"]) {
      assert.throws(() => host.read(key), /not a kernel setting/, key);
    }
  });

  it("knows the boot and the network namespace", () =>
    inFixture(STOCK, ({ root }) => {
      assert.deepEqual(openProcSys(root).identity(), { bootId: "0f00-first-boot", network: "net:[4026531833]" });
    }));
});
