/** Two runs of tune or untune at once: the second is refused with a sentence, and the original values are not lost. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { lockFile } from "../../../../sysctl/kernel/libc.js";
import type { ProcSys } from "../../../../sysctl/kernel/proc-sys.js";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { readRollback } from "../../../../sysctl/tune/rollback.js";
import { tune } from "../../../../sysctl/tune/tune.js";
import { untune } from "../../../../sysctl/tune/untune.js";
import { type Fixture, inFixture, procSysOf, STOCK } from "../fixture.js";

const CLI = fileURLToPath(new URL("../../../../src/cli.js", import.meta.url));
const ALREADY_RUNNING = {
  kind: "failed",
  message: /another megagate tune or untune is running with .*nothing was changed/,
};

const apply = (procSys: ProcSys, { statePath }: Fixture, plan = MILLION): unknown =>
  tune(procSys, plan, { statePath, allowLowering: true });
const restore = (procSys: ProcSys, { root, statePath }: Fixture): unknown => untune(procSys, openEtc(root), statePath);

/** Starts another run at the first write. */
function interruptedBy(fixture: Fixture, other: () => void): ProcSys {
  const procSys = procSysOf(fixture);
  let isFirst = true;
  return {
    ...procSys,
    write(key, text) {
      if (isFirst) {
        isFirst = false;
        other();
      }
      return procSys.write(key, text);
    },
  };
}

describe("two runs at once", () => {
  const runs = { tune: apply, untune: restore };
  for (const [first, run] of Object.entries(runs)) {
    for (const [second, other] of Object.entries(runs)) {
      it(`${second} while ${first} is running is refused, and every value can still be restored`, () =>
        inFixture(STOCK, (fixture) => {
          // Some values are tuned already, others are not.
          apply(procSysOf(fixture), fixture, { ...MILLION, connections: 200_000 });
          let refused = 0;
          const startOther = (): void => {
            assert.throws(() => other(procSysOf(fixture), fixture), ALREADY_RUNNING);
            refused += 1;
          };
          run(interruptedBy(fixture, startOther), fixture);
          assert.equal(refused, 1);
          apply(procSysOf(fixture), fixture);
          restore(procSysOf(fixture), fixture);
          assert.deepEqual(fixture.all(), STOCK);
        }));
    }
  }

  it("a run that fails or is killed leaves no lock", () =>
    inFixture(STOCK, (fixture) => {
      assert.throws(() => apply(procSysOf(fixture, { killedAfterWrites: 2 }), fixture));
      apply(procSysOf(fixture), fixture);
      restore(procSysOf(fixture), fixture);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("of the command line: one is refused with exit status 1 while another process holds the lock", () =>
    inFixture(STOCK, (fixture) => {
      const command = [CLI, "tune", "--root", fixture.root, "--tracked", "no", "--state", fixture.statePath];
      const run = (): SpawnSyncReturns<string> =>
        spawnSync(process.execPath, command, { encoding: "utf8", timeout: 30_000 });
      apply(procSysOf(fixture), fixture, { ...MILLION, connections: 200_000 });
      const before = readRollback(fixture.statePath);
      const folder = openSync(dirname(fixture.statePath), "r");
      assert.equal(lockFile(folder), 0);
      const { status, stderr } = run();
      closeSync(folder);
      assert.equal(status, 1, stderr);
      assert.match(stderr, ALREADY_RUNNING.message);
      assert.deepEqual(readRollback(fixture.statePath), before);
      const second = run();
      assert.equal(second.status, 0, second.stderr);
    }));
});
