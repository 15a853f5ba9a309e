/** Applying the table and restoring, over fixture kernels: sysctl/tune/tune.ts and sysctl/tune/untune.ts. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ProcSys } from "../../../../sysctl/kernel/proc-sys.js";
import type { KernelPlan } from "../../../../sysctl/plan.js";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { parsePorts } from "../../../../sysctl/rules.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { readRollback } from "../../../../sysctl/tune/rollback.js";
import { type Tuned, tune } from "../../../../sysctl/tune/tune.js";
import { type Untuned, untune } from "../../../../sysctl/tune/untune.js";

import { runs } from "../../../support/runs.js";
import {
  assertHas,
  type Fixture,
  inFixture,
  type KernelFaults,
  Killed,
  procSysOf,
  STOCK,
  type Values,
} from "../fixture.js";

const LIVE = { ...MILLION, conntrackLive: true };
const apply = (procSys: ProcSys, plan: KernelPlan, { statePath }: Fixture, allowLowering = true): readonly Tuned[] =>
  tune(procSys, plan, { statePath, allowLowering }).rows;
const restore = (procSys: ProcSys, { root, statePath }: Fixture): Untuned => untune(procSys, openEtc(root), statePath);
const rowOf = (rows: readonly Tuned[], key: string): Tuned => rows.find((row) => row.setting.key === key)!;

/** A kernel with any values that a host may have, lower and higher than wanted. */
const number = fc.integer({ min: 0, max: 20_000_000 }).map(String);
const triple = fc.tuple(number, number, number).map((parts) => parts.join("\t"));
const kernels: fc.Arbitrary<Values> = fc.record(
  Object.fromEntries(
    Object.keys(STOCK).map((key) => {
      if (/mem$/.test(key)) return [key, triple];
      if (key.endsWith("port_range")) return [key, fc.constantFrom("32768\t60999", "1024\t65535", "20000\t65000")];
      if (key.endsWith("reserved_ports")) return [key, fc.constantFrom("", "22", "8081", "8000-8090,9100")];
      return [key, number];
    }),
  ),
);
const plans: fc.Arbitrary<KernelPlan> = fc
  .record({
    connections: fc.integer({ min: 1, max: 4_000_000 }),
    coLocated: fc.boolean(),
    conntrackLive: fc.boolean(),
  })
  .map((some) => ({ ...MILLION, ...some }));
const errnos = fc.dictionary(fc.constantFrom(...Object.keys(STOCK)), fc.constantFrom("EACCES", "EROFS", "EINVAL"));

function tuneOrDie(fixture: Fixture, plan: KernelPlan, faults: KernelFaults): void {
  try {
    apply(procSysOf(fixture, faults), plan, fixture);
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
}

describe("tune and untune", () => {
  it("leave every value as it was, also when some are refused and tune is killed in the middle and run again", () => {
    const cases = fc.record({
      kernel: kernels,
      attempts: fc.array(
        fc.record({
          plan: plans,
          faults: fc.record({ denied: errnos, failing: errnos, killedAfterWrites: fc.integer({ min: 0, max: 20 }) }),
        }),
        { minLength: 1, maxLength: 3 },
      ),
    });
    fc.assert(
      fc.property(cases, ({ kernel, attempts }) =>
        inFixture(kernel, (fixture) => {
          for (const { plan, faults } of attempts) tuneOrDie(fixture, plan, faults);
          restore(procSysOf(fixture), fixture);
          assert.deepEqual(fixture.all(), { ...kernel });
          assert.equal(existsSync(fixture.statePath), false);
        }),
      ),
      runs(60),
    );
  });

  it("also when untune itself is killed in the middle and run again", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 12 }), (writes) =>
        inFixture(STOCK, (fixture) => {
          apply(procSysOf(fixture), LIVE, fixture);
          try {
            restore(procSysOf(fixture, { killedAfterWrites: writes }), fixture);
          } catch (error) {
            assert.ok(error instanceof Killed);
          }
          restore(procSysOf(fixture), fixture);
          assert.deepEqual(fixture.all(), STOCK);
        }),
      ),
      runs(13),
    );
  });

  it("never lower anything without --allow-lowering, and with it only the two settings that are marked", () => {
    fc.assert(
      fc.property(kernels, plans, fc.boolean(), (kernel, plan, allowLowering) =>
        inFixture(kernel, (fixture) => {
          for (const { setting, before, after } of apply(procSysOf(fixture), plan, fixture, allowLowering)) {
            if ((allowLowering && setting.lowers !== undefined) || before === undefined || after === undefined)
              continue;
            if (setting.key.endsWith("reserved_ports")) {
              for (const port of parsePorts(before)) assert.ok(parsePorts(after).has(port), `${port} was dropped`);
            } else if (setting.key.endsWith("port_range")) {
              assert.ok(Number.parseInt(after, 10) <= Number.parseInt(before, 10));
            } else if (!["net.ipv4.tcp_migrate_req", "net.ipv4.tcp_tw_reuse"].includes(setting.key)) {
              const old = before.split("\t").map(Number);
              for (const [i, part] of after.split(/\s/).entries()) assert.ok(Number(part) >= old[i]!, setting.key);
            }
          }
        }),
      ),
      runs(60),
    );
  });
});

describe("tune", () => {
  it("writes what is low, keeps what is enough and says which is which", () =>
    inFixture(STOCK, (fixture) => {
      const rows = apply(procSysOf(fixture), MILLION, fixture);
      assert.equal(fixture.get("net.core.somaxconn"), "65535");
      assert.equal(fixture.get("fs.epoll.max_user_watches"), "5491533");
      assert.equal(rowOf(rows, "fs.epoll.max_user_watches").status, "enough");
      assert.equal(rowOf(rows, "net.core.somaxconn").status, "raised");
      assert.equal(rowOf(rows, "net.ipv4.tcp_wmem").status, "lowered");
      assert.equal(
        rows.some((row) => row.failed),
        false,
      );
    }));

  it("keeps what is higher than wanted unless it may be lowered, and says what that would cost", () =>
    inFixture(STOCK, (fixture) => {
      const rows = apply(procSysOf(fixture), MILLION, fixture, false);
      const row = rowOf(rows, "net.ipv4.tcp_wmem");
      assertHas(row, { status: "kept", before: "4096\t16384\t4194304", failed: false });
      assert.match(row.reason ?? "", /--allow-lowering: no TCP connection/);
      assert.equal(fixture.get("net.ipv4.tcp_notsent_lowat"), "4294967295");
      apply(procSysOf(fixture), MILLION, fixture, true);
      assert.equal(fixture.get("net.ipv4.tcp_notsent_lowat"), "16384");
      restore(procSysOf(fixture), fixture);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("has the old values on disk before the first write", () =>
    inFixture(STOCK, (fixture) => {
      assert.throws(() => apply(procSysOf(fixture, { killedAfterWrites: 0 }), MILLION, fixture), Killed);
      assert.deepEqual(fixture.all(), STOCK);
      const somaxconn = readRollback(fixture.statePath)?.before.find(({ key }) => key === "net.core.somaxconn");
      assert.equal(somaxconn?.value, "4096");
    }));

  it("run a second time changes nothing and keeps the first values in the rollback file", () =>
    inFixture(STOCK, (fixture) => {
      apply(procSysOf(fixture), MILLION, fixture);
      const tuned = fixture.all();
      const rollback = readRollback(fixture.statePath);
      apply(procSysOf(fixture), MILLION, fixture);
      assert.deepEqual(fixture.all(), tuned);
      assert.deepEqual(readRollback(fixture.statePath), rollback);
      apply(procSysOf(fixture), { ...LIVE, connections: 2_000_000 }, fixture);
      const before = new Map(readRollback(fixture.statePath)?.before.map(({ key, value }) => [key, value]));
      assert.equal(before.get("net.ipv4.tcp_max_orphans"), "131072");
      assert.equal(before.get("net.netfilter.nf_conntrack_max"), "262144");
    }));

  it("leaves connection tracking alone at a count of 0 and raises both of its values where it is live", () =>
    inFixture(STOCK, (fixture) => {
      const idle = apply(procSysOf(fixture), MILLION, fixture);
      assert.equal(rowOf(idle, "net.netfilter.nf_conntrack_max").status, "notNeeded");
      assert.equal(fixture.get("net.netfilter.nf_conntrack_max"), "262144");
      apply(procSysOf(fixture), LIVE, fixture);
      assert.equal(fixture.get("net.netfilter.nf_conntrack_max"), "1200000");
      assert.equal(fixture.get("module.nf_conntrack.hashsize"), "300000");
    }));

  it("reports a read-only setting with the remedy, does the rest, and fails", () =>
    inFixture(STOCK, (fixture) => {
      const rows = apply(procSysOf(fixture, { denied: { "net.core.netdev_max_backlog": "EACCES" } }), MILLION, fixture);
      const row = rowOf(rows, "net.core.netdev_max_backlog");
      assertHas(row, { status: "refused", before: "1000", after: "1000", failed: true });
      assert.match(row.reason ?? "", /host-wide, and read-only in this namespace/);
      assert.equal(fixture.get("net.ipv4.tcp_migrate_req"), "1");
      const remembered = readRollback(fixture.statePath)?.before.map(({ key }) => key);
      assert.equal(remembered?.includes("net.core.netdev_max_backlog"), false);
    }));

  it("writes no rollback file where nothing may be written, so that a person without root sees the whole table", () =>
    inFixture(STOCK, (fixture) => {
      const denied = Object.fromEntries(Object.keys(STOCK).map((key) => [key, "EACCES"]));
      const rows = apply(procSysOf(fixture, { denied, isRoot: false }), MILLION, fixture);
      assert.match(rowOf(rows, "net.core.somaxconn").reason ?? "", /needs root/);
      assert.equal(existsSync(fixture.statePath), false);
    }));

  it("reports a value that the kernel clamped", () =>
    inFixture(STOCK, (fixture) => {
      const rows = apply(procSysOf(fixture, { clamped: { "net.core.somaxconn": "8192" } }), MILLION, fixture);
      const row = rowOf(rows, "net.core.somaxconn");
      assertHas(row, { status: "clamped", after: "8192", failed: true });
      assert.match(row.reason ?? "", /65535.*8192/);
    }));

  it("takes a value that the kernel rounded up for set, as the bucket count is", () =>
    inFixture(STOCK, (fixture) => {
      const host = procSysOf(fixture, { clamped: { "module.nf_conntrack.hashsize": "300032" } });
      assert.equal(rowOf(apply(host, LIVE, fixture), "module.nf_conntrack.hashsize").status, "raised");
    }));

  it("does not fail for a setting that this kernel has never had", () =>
    inFixture(STOCK, (fixture) => {
      fixture.remove("net.ipv4.tcp_migrate_req");
      const rows = apply(procSysOf(fixture), MILLION, fixture);
      assertHas(rowOf(rows, "net.ipv4.tcp_migrate_req"), { status: "missing", failed: false });
    }));
});
