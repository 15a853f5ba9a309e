/** Going back, over fixture kernels: sysctl/tune/untune.ts. Exactness, also after an interruption: tune.test.ts. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import type { Host } from "../../../../sysctl/kernel/proc-sys.js";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { readRollback } from "../../../../sysctl/tune/rollback.js";
import { tune } from "../../../../sysctl/tune/tune.js";
import { type Untuned, untune } from "../../../../sysctl/tune/untune.js";
import { type Fixture, hostOf, inFixture, STOCK } from "../fixture.js";

const apply = (host: Host, plan: typeof MILLION, { statePath }: Fixture): unknown =>
  tune(host, plan, { statePath, allowLowering: true });
const goBack = (host: Host, { root, statePath }: Fixture): Untuned => untune(host, openEtc(root), statePath);

describe("untune", () => {
  it("does nothing without a rollback file", () =>
    inFixture(STOCK, (fixture) => {
      assert.deepEqual(goBack(hostOf(fixture), fixture), { kind: "nothing" });
    }));

  it("goes back in the reverse order", () =>
    inFixture(STOCK, (fixture) => {
      apply(hostOf(fixture), MILLION, fixture);
      const result = goBack(hostOf(fixture), fixture);
      const keys = result.kind === "restored" ? result.rows.map((row) => row.key) : [];
      assert.ok(keys.indexOf("net.ipv4.ip_local_port_range") < keys.indexOf("net.ipv4.ip_local_reserved_ports"));
      assert.equal(keys.at(-1), "net.core.somaxconn");
    }));

  it("keeps what could not be restored in the file, for another try", () =>
    inFixture(STOCK, (fixture) => {
      apply(hostOf(fixture), MILLION, fixture);
      goBack(hostOf(fixture, { failing: { "net.core.somaxconn": "EACCES" } }), fixture);
      assert.deepEqual(readRollback(fixture.statePath)?.before, [{ key: "net.core.somaxconn", value: "4096" }]);
      goBack(hostOf(fixture), fixture);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("after a boot only deletes the file: the kernel's values are the boot's own", () =>
    inFixture(STOCK, (fixture) => {
      apply(hostOf(fixture), MILLION, fixture);
      fixture.set("kernel.random.boot_id", "second-boot");
      fixture.set("net.core.somaxconn", "8192");
      assert.deepEqual(goBack(hostOf(fixture), fixture), { kind: "booted" });
      assert.equal(fixture.get("net.core.somaxconn"), "8192");
      assert.equal(existsSync(fixture.statePath), false);
    }));
});
