/** Looking without touching, over fixture kernels: diff and verify of sysctl/tune/tune.ts. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { diff, type Tuned, tune, verify } from "../../../../sysctl/tune/tune.js";
import { assertHas, type Fixture, inFixture, procSysOf, STOCK } from "../fixture.js";

const rowOf = (rows: readonly Tuned[], key: string): Tuned => rows.find((row) => row.setting.key === key)!;

describe("diff and verify change nothing", () => {
  const options = ({ statePath }: Fixture): { statePath: string; allowLowering: boolean } => ({
    statePath,
    allowLowering: true,
  });

  it("shows what tune would set, also to a person without root", () =>
    inFixture(STOCK, (fixture) => {
      const denied = Object.fromEntries(Object.keys(STOCK).map((key) => [key, "EACCES"]));
      for (const faults of [{}, { denied, isRoot: false }]) {
        const { rows } = diff(procSysOf(fixture, faults), MILLION, options(fixture));
        assertHas(rowOf(rows, "net.core.somaxconn"), {
          status: "raised",
          before: "4096",
          after: "65535",
          failed: false,
        });
        assertHas(rowOf(rows, "net.ipv4.tcp_wmem"), { status: "lowered", after: "4096 16384 262144" });
      }
      assert.deepEqual(fixture.all(), STOCK);
      assert.equal(existsSync(fixture.statePath), false);
    }));

  it("verifies: before tune it names what is wanting, after tune nothing, and again when one is changed", () =>
    inFixture(STOCK, (fixture) => {
      const wanting = (): string[] =>
        verify(procSysOf(fixture), MILLION, { ...options(fixture), etc: openEtc(fixture.root) })
          .rows.filter((row) => row.failed)
          .map((row) => row.setting.key);
      assert.ok(wanting().includes("net.core.somaxconn"));
      tune(procSysOf(fixture), MILLION, options(fixture));
      assert.deepEqual(wanting(), []);
      fixture.set("net.core.somaxconn", "128");
      assert.deepEqual(wanting(), ["net.core.somaxconn"]);
      assert.equal(fixture.get("net.core.somaxconn"), "128");
    }));
});
