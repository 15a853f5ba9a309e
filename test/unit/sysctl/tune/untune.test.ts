/** Restoring, over fixture kernels: sysctl/tune/untune.ts. tune.test.ts proves that it is exact, also after an interruption. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import type { ProcSys } from "../../../../sysctl/kernel/proc-sys.js";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { readRollback } from "../../../../sysctl/tune/rollback.js";
import { tune } from "../../../../sysctl/tune/tune.js";
import { type Untuned, untune } from "../../../../sysctl/tune/untune.js";
import { type Fixture, inFixture, procSysOf, STOCK } from "../fixture.js";

const apply = (procSys: ProcSys, plan: typeof MILLION, { statePath }: Fixture): unknown =>
  tune(procSys, plan, { statePath, allowLowering: true });
const restore = (procSys: ProcSys, { root, statePath }: Fixture): Untuned => untune(procSys, openEtc(root), statePath);

describe("untune", () => {
  it("does nothing without a rollback file", () =>
    inFixture(STOCK, (fixture) => {
      assert.deepEqual(restore(procSysOf(fixture), fixture), { type: "nothing" });
    }));

  it("restores in the reverse order", () =>
    inFixture(STOCK, (fixture) => {
      apply(procSysOf(fixture), MILLION, fixture);
      const result = restore(procSysOf(fixture), fixture);
      const keys = result.type === "restored" ? result.rows.map((row) => row.key) : [];
      assert.ok(keys.indexOf("net.ipv4.ip_local_port_range") < keys.indexOf("net.ipv4.ip_local_reserved_ports"));
      assert.equal(keys.at(-1), "net.core.somaxconn");
    }));

  it("keeps what could not be restored in the file, for another attempt", () =>
    inFixture(STOCK, (fixture) => {
      apply(procSysOf(fixture), MILLION, fixture);
      restore(procSysOf(fixture, { failing: { "net.core.somaxconn": "EACCES" } }), fixture);
      assert.deepEqual(readRollback(fixture.statePath)?.before, [{ key: "net.core.somaxconn", value: "4096" }]);
      restore(procSysOf(fixture), fixture);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("after a boot only deletes the file: the kernel's values are the boot's own", () =>
    inFixture(STOCK, (fixture) => {
      apply(procSysOf(fixture), MILLION, fixture);
      fixture.set("kernel.random.boot_id", "second-boot");
      fixture.set("net.core.somaxconn", "8192");
      assert.deepEqual(restore(procSysOf(fixture), fixture), { type: "booted" });
      assert.equal(fixture.get("net.core.somaxconn"), "8192");
      assert.equal(existsSync(fixture.statePath), false);
    }));
});
