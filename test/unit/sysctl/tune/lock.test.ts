/** Two runs of tune or untune at once: the second is refused in words, and the values as they were are not lost. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { lockFile } from "../../../../sysctl/kernel/libc.js";
import type { Host } from "../../../../sysctl/kernel/proc-sys.js";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { readRollback } from "../../../../sysctl/tune/rollback.js";
import { tune } from "../../../../sysctl/tune/tune.js";
import { untune } from "../../../../sysctl/tune/untune.js";
import { type Fixture, hostOf, inFixture, STOCK } from "../fixture.js";

const CLI = fileURLToPath(new URL("../../../../src/cli.js", import.meta.url));
const AT_WORK = { kind: "failed", message: /another megagate tune or untune is at work with .*nothing was changed/ };

const apply = (host: Host, { statePath }: Fixture, plan = MILLION): unknown =>
  tune(host, plan, { statePath, allowLowering: true });
const goBack = (host: Host, { root, statePath }: Fixture): unknown => untune(host, openEtc(root), statePath);

/** At its first write, somebody else comes. */
function interruptedBy(fixture: Fixture, other: () => void): Host {
  const host = hostOf(fixture);
  let isFirst = true;
  return {
    ...host,
    write(key, text) {
      if (isFirst) {
        isFirst = false;
        other();
      }
      return host.write(key, text);
    },
  };
}

describe("two runs at once", () => {
  const runs = { tune: apply, untune: goBack };
  for (const [first, run] of Object.entries(runs)) {
    for (const [second, other] of Object.entries(runs)) {
      it(`${second} while ${first} is at work is refused, and every value can still be put back`, () =>
        inFixture(STOCK, (fixture) => {
          // Something to undo, and something that is still to do.
          apply(hostOf(fixture), fixture, { ...MILLION, connections: 200_000 });
          let refused = 0;
          const comes = (): void => {
            assert.throws(() => other(hostOf(fixture), fixture), AT_WORK);
            refused += 1;
          };
          run(interruptedBy(fixture, comes), fixture);
          assert.equal(refused, 1);
          apply(hostOf(fixture), fixture);
          goBack(hostOf(fixture), fixture);
          assert.deepEqual(fixture.all(), STOCK);
        }));
    }
  }

  it("a run that fails or is killed leaves no lock", () =>
    inFixture(STOCK, (fixture) => {
      assert.throws(() => apply(hostOf(fixture, { killedAfterWrites: 2 }), fixture));
      apply(hostOf(fixture), fixture);
      goBack(hostOf(fixture), fixture);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("of the command line: one is refused with exit status 1 while another process holds the lock", () =>
    inFixture(STOCK, (fixture) => {
      const command = [CLI, "tune", "--root", fixture.root, "--tracked", "no", "--state", fixture.statePath];
      const run = (): SpawnSyncReturns<string> =>
        spawnSync(process.execPath, command, { encoding: "utf8", timeout: 30_000 });
      apply(hostOf(fixture), fixture, { ...MILLION, connections: 200_000 });
      const before = readRollback(fixture.statePath);
      const folder = openSync(dirname(fixture.statePath), "r");
      assert.equal(lockFile(folder), 0);
      const { status, stderr } = run();
      closeSync(folder);
      assert.equal(status, 1, stderr);
      assert.match(stderr, AT_WORK.message);
      assert.deepEqual(readRollback(fixture.statePath), before);
      const second = run();
      assert.equal(second.status, 0, second.stderr);
    }));
});
