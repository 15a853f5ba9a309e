/** Warnings about the host's own sysctl files: sysctl/tune/leftovers.ts. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { leftovers, parseSysctlFile } from "../../../../sysctl/tune/leftovers.js";
import { type Fixture, inFixture, procSysOf, STOCK } from "../fixture.js";

function put({ root }: Fixture, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
const warningsOf = (fixture: Fixture, plan = MILLION): string[] =>
  leftovers(openEtc(fixture.root), procSysOf(fixture), plan);

describe("leftovers", () => {
  it("names a setting that this kernel has removed with file, line, version and reason", () =>
    inFixture(STOCK, (fixture) => {
      put(fixture, "/etc/sysctl.d/10-recipe.conf", "# tuned\n\nnet.ipv4.tcp_tw_recycle = 1\n");
      put(fixture, "/etc/sysctl.conf", "net/ipv4/ip_conntrack_max=262144\n");
      const [first, second, ...more] = warningsOf(fixture);
      assert.match(
        first ?? "",
        /^\/etc\/sysctl\.d\/10-recipe\.conf:3: net\.ipv4\.tcp_tw_recycle .* Linux 4\.12 removed it/,
      );
      assert.match(second ?? "", /^\/etc\/sysctl\.conf:1: net\.ipv4\.ip_conntrack_max .*nf_conntrack_max now/);
      assert.deepEqual(more, []);
    }));

  it("is silent where the kernel still has the setting, in comments and in files that sysctl does not read", () =>
    inFixture({ ...STOCK, "net.ipv4.tcp_tw_recycle": "0" }, (fixture) => {
      put(fixture, "/etc/sysctl.d/10-recipe.conf", "net.ipv4.tcp_tw_recycle = 1\n; kernel.sched_migration_cost_ns=5\n");
      put(fixture, "/etc/sysctl.d/old.conf.bak", "net.ipv4.tcp_abc = 1\n");
      assert.deepEqual(warningsOf(fixture), []);
    }));

  it("names a line that comes after our file and sets the same to something else", () =>
    inFixture(STOCK, (fixture) => {
      put(fixture, "/etc/sysctl.d/99-megagate.conf", "net.core.somaxconn = 65535\nnet.ipv4.tcp_mem = 1 2 3\n");
      put(fixture, "/etc/sysctl.d/50-before.conf", "net.core.somaxconn = 128\n");
      put(fixture, "/etc/sysctl.d/99-z.conf", "net.core.somaxconn=1024\nnet.ipv4.tcp_mem = 1\t2  3\n");
      const warnings = warningsOf(fixture);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? "", /^\/etc\/sysctl\.d\/99-z\.conf:1: sets net\.core\.somaxconn = 1024 after/);
    }));

  it("names a line that sets the same by its other name: net.nf_conntrack_max, as copied recipes have it", () =>
    inFixture(STOCK, (fixture) => {
      put(fixture, "/etc/sysctl.d/99-megagate.conf", "net.netfilter.nf_conntrack_max = 1200000\n");
      put(fixture, "/etc/sysctl.conf", "net.nf_conntrack_max = 262144\n");
      put(fixture, "/etc/sysctl.d/99-zz.conf", "net/nf_conntrack_max = 1200000\n");
      const [warning, ...more] = warningsOf(fixture, { ...MILLION, conntrackLive: true });
      assert.match(
        warning ?? "",
        /^\/etc\/sysctl\.conf:1: sets net\.nf_conntrack_max = 262144, which is net\.netfilter\.nf_conntrack_max by another name, after/,
      );
      assert.deepEqual(more, []);
    }));

  it("names a maximum of tracked connections that is too low once a firewall tracks, though nothing is tracked now", () =>
    inFixture(STOCK, (fixture) => {
      put(fixture, "/etc/sysctl.d/10-recipe.conf", "net.nf_conntrack_max = 2000000\n");
      assert.deepEqual(warningsOf(fixture), []);
      put(fixture, "/etc/sysctl.conf", "net.nf_conntrack_max = 262144\n");
      const [warning, ...more] = warningsOf(fixture);
      assert.match(
        warning ?? "",
        /^\/etc\/sysctl\.conf:1: sets net\.nf_conntrack_max = 262144, .*: 1200000 would be enough/,
      );
      assert.deepEqual(more, []);
      put(fixture, "/etc/sysctl.conf", "net.nf_conntrack_max = 0\n");
      assert.deepEqual(warningsOf(fixture), [], "0 is no limit");
    }));

  it("reads all folders of sysctl.d by file name, each name from the first folder that has it", () =>
    inFixture(STOCK, (fixture) => {
      put(fixture, "/etc/sysctl.d/99-megagate.conf", "net.core.somaxconn = 65535\n");
      for (const folder of ["/run", "/usr/local/lib", "/usr/lib", "/lib"]) {
        put(fixture, `${folder}/sysctl.d/99-zz${folder.replaceAll("/", "-")}.conf`, "net.core.somaxconn = 128\n");
        put(fixture, `${folder}/sysctl.d/10-early.conf`, "net.core.somaxconn = 128\n");
        put(fixture, `${folder}/sysctl.d/99-masked.conf`, "net.core.somaxconn = 128\n");
        put(fixture, `${folder}/sysctl.d/99-megagate.conf`, "net.core.somaxconn = 5\n");
      }
      put(fixture, "/etc/sysctl.d/99-masked.conf", "");
      const warnings = warningsOf(fixture);
      assert.deepEqual(
        warnings.map((warning) => warning.split(":")[0]),
        [
          "/lib/sysctl.d/99-zz-lib.conf",
          "/run/sysctl.d/99-zz-run.conf",
          "/usr/lib/sysctl.d/99-zz-usr-lib.conf",
          "/usr/local/lib/sysctl.d/99-zz-usr-local-lib.conf",
        ],
      );
      for (const warning of warnings) assert.match(warning, /ln -s \/dev\/null \/etc\/sysctl\.d\/99-zz-/);
    }));

  it("names a tcp_mem beyond the host's memory, in a file and in the kernel", () =>
    inFixture({ ...STOCK, "net.ipv4.tcp_mem": "10000000\t10000000\t10000000" }, (fixture) => {
      put(fixture, "/etc/sysctl.d/10-recipe.conf", "net.ipv4.tcp_mem = 786432 1048576 26777216\n");
      const [inFile, inKernel, ...more] = warningsOf(fixture);
      assert.match(inFile ?? "", /10-recipe\.conf:1: net\.ipv4\.tcp_mem lets TCP queue more.*pages of 4096 bytes/);
      assert.match(inKernel ?? "", /^net\.ipv4\.tcp_mem is 10000000 10000000 10000000: it lets/);
      assert.deepEqual(more, []);
    }));

  it("knows Debian's link of /etc/sysctl.conf for the same file", () =>
    inFixture(STOCK, (fixture) => {
      put(fixture, "/etc/sysctl.conf", "net.ipv4.tcp_tw_recycle = 1\n");
      put(fixture, "/etc/sysctl.d/99-sysctl.conf", "net.ipv4.tcp_tw_recycle = 1\n");
      assert.equal(warningsOf(fixture).length, 1);
    }));
});

describe("a sysctl.d file", () => {
  it("is read as sysctl reads it", () => {
    const lines = parseSysctlFile("f", "# a = 1\n; b = 2\n-net/core/x = 3\n net.core.y\t=  4 5 \nnonsense\n");
    assert.deepEqual(
      lines.map(({ line, key, value }) => [line, key, value]),
      [
        [3, "net.core.x", "3"],
        [4, "net.core.y", "4 5"],
      ],
    );
  });
});
