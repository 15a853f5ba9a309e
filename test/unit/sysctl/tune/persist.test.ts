/** Files that keep a plan over a boot, and their way back: sysctl/tune/persist.ts through tune and untune. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { GatewayError } from "../../../../src/errors.js";
import type { KernelPlan } from "../../../../sysctl/plan.js";
import { DROP_IN_PATH, LIMITS_PATH, SYSCTL_PATH } from "../../../../sysctl/remedies/files.js";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { type Etc, openEtc } from "../../../../sysctl/tune/etc.js";
import { type Outcome, tune, verify } from "../../../../sysctl/tune/tune.js";
import { type Untuned, untune } from "../../../../sysctl/tune/untune.js";

import { runs } from "../../../support/runs.js";
import { type Fixture, inFixture, type KernelFaults, Killed, procSysOf, STOCK } from "../fixture.js";

const PATHS = [SYSCTL_PATH, LIMITS_PATH, DROP_IN_PATH];
const options = ({ statePath }: Fixture): { statePath: string; allowLowering: boolean } => ({
  statePath,
  allowLowering: true,
});
const persist = (
  fixture: Fixture,
  plan: KernelPlan = MILLION,
  faults: KernelFaults = {},
  etc = openEtc(fixture.root),
): Outcome => tune(procSysOf(fixture, faults), plan, { ...options(fixture), persistTo: etc });
const restore = (fixture: Fixture, etc = openEtc(fixture.root)): Untuned =>
  untune(procSysOf(fixture), etc, fixture.statePath);
const exists = ({ root }: Fixture, path: string): boolean => existsSync(join(root, path));
const textOf = ({ root }: Fixture, path: string): string => readFileSync(join(root, path), "utf8");
const refusedOf = (result: Untuned): string[] =>
  result.type === "restored" ? result.files.filter((row) => row.status === "refused").map((row) => row.path) : [];

function put({ root }: Fixture, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** Dies at the write after so many, like a fixture's host; every step of writing a file is one that may be the last. */
function dying(etc: Etc, after: number): Etc {
  let writes = 0;
  const orDie = <T>(action: () => T): T => {
    if (writes++ === after) throw new Killed();
    return action();
  };
  return {
    ...etc,
    write: (path, state) => orDie(() => etc.write(path, state)),
    remove: (path, folders) => orDie(() => etc.remove(path, folders)),
  };
}

function orKilled(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
}

describe("tune --persist", () => {
  it("writes the three files, and untune removes them with the folders that they brought", () =>
    inFixture(STOCK, (fixture) => {
      mkdirSync(join(fixture.root, "etc/sysctl.d"), { recursive: true });
      persist(fixture);
      assert.match(textOf(fixture, SYSCTL_PATH), /^net\.core\.somaxconn = 65535$/m);
      assert.match(textOf(fixture, LIMITS_PATH), /^\* hard nofile 524288\nroot hard nofile 524288$/m);
      assert.match(textOf(fixture, DROP_IN_PATH), /^\[Service\]\nLimitNOFILE=524288\nTasksMax=4915$/m);
      restore(fixture);
      assert.ok(exists(fixture, "/etc/sysctl.d"));
      assert.equal(exists(fixture, "/etc/security"), false);
      assert.equal(exists(fixture, "/etc/systemd"), false);
      assert.deepEqual(fixture.all(), STOCK);
    }));

  it("is undone exactly where files were there before, also after a second plan and after being killed anywhere", () => {
    const cases = fc.record({
      there: fc.subarray(PATHS),
      attempts: fc.array(
        fc.record({ connections: fc.integer({ min: 1, max: 3_000_000 }), dies: fc.nat(20), files: fc.nat(4) }),
        {
          minLength: 1,
          maxLength: 3,
        },
      ),
      backDies: fc.nat(6),
    });
    fc.assert(
      fc.property(cases, ({ there, attempts, backDies }) =>
        inFixture(STOCK, (fixture) => {
          for (const path of there) put(fixture, path, `# ${path} of somebody\n`);
          for (const { connections, dies, files } of attempts) {
            const etc = dying(openEtc(fixture.root), files);
            orKilled(() => persist(fixture, { ...MILLION, connections }, { killedAfterWrites: dies }, etc));
          }
          orKilled(() => restore(fixture, dying(openEtc(fixture.root), backDies)));
          restore(fixture);
          for (const path of PATHS) {
            assert.equal(exists(fixture, path), there.includes(path), path);
            if (there.includes(path)) assert.equal(textOf(fixture, path), `# ${path} of somebody\n`);
          }
          assert.deepEqual(fixture.all(), STOCK);
          assert.equal(existsSync(fixture.statePath), false);
        }),
      ),
      runs(40),
    );
  });

  it("writes no limit that fs.nr_open does not hold, which would lock users out", () =>
    inFixture(STOCK, (fixture) => {
      const plan = { ...MILLION, nofileWanted: 3_000_000 };
      const { files } = persist(fixture, plan, { failing: { "fs.nr_open": "EINVAL" } });
      assert.deepEqual(
        files.map((row) => row.status),
        ["refused", "refused", "refused"],
      );
      assert.equal(exists(fixture, LIMITS_PATH), false);
      persist(fixture, plan);
      assert.equal(fixture.get("fs.nr_open"), "3000000");
      assert.match(textOf(fixture, LIMITS_PATH), /hard nofile 3000000/);
    }));

  it("is verified: a file that is gone or changed is named", () =>
    inFixture(STOCK, (fixture) => {
      const wanting = (): string[] =>
        verify(procSysOf(fixture), MILLION, { ...options(fixture), etc: openEtc(fixture.root) })
          .files.filter((row) => row.status === "refused")
          .map((row) => row.path);
      persist(fixture);
      assert.deepEqual(wanting(), []);
      put(fixture, LIMITS_PATH, "# mine\n");
      assert.deepEqual(wanting(), [LIMITS_PATH]);
    }));

  it("leaves a file alone that was edited since, says so, and goes on once it is gone", () =>
    inFixture(STOCK, (fixture) => {
      persist(fixture);
      put(fixture, LIMITS_PATH, "# mine\n");
      assert.deepEqual(refusedOf(restore(fixture)), [LIMITS_PATH]);
      assert.equal(textOf(fixture, LIMITS_PATH), "# mine\n");
      assert.deepEqual(fixture.all(), STOCK);
      openEtc(fixture.root).remove(LIMITS_PATH, 0);
      restore(fixture);
      assert.equal(existsSync(fixture.statePath), false);
    }));

  it("goes on with the rest where one file cannot be written or removed, and names it", () =>
    inFixture(STOCK, (fixture) => {
      const etc = openEtc(fixture.root);
      const unwilling = (path: string): void => {
        if (path === LIMITS_PATH) throw new GatewayError("failed", "no space left");
      };
      const stubborn: Etc = {
        ...etc,
        write(path, state) {
          unwilling(path);
          etc.write(path, state);
        },
        remove(path, folders) {
          unwilling(path);
          etc.remove(path, folders);
        },
      };
      const { files } = persist(fixture, MILLION, {}, stubborn);
      assert.deepEqual(
        files.map((row) => row.status),
        ["written", "refused", "written"],
      );
      assert.deepEqual(refusedOf(restore(fixture, stubborn)), [LIMITS_PATH]);
      assert.deepEqual(fixture.all(), STOCK);
      restore(fixture);
      assert.equal(exists(fixture, "/etc"), false);
    }));

  it("after a boot takes its files away and puts back what they set again, and nothing else", () =>
    inFixture(STOCK, (fixture) => {
      persist(fixture);
      fixture.set("kernel.random.boot_id", "second-boot");
      fixture.set("net.core.netdev_max_backlog", "2000");
      restore(fixture);
      assert.deepEqual(fixture.all(), { ...STOCK, "net.core.netdev_max_backlog": "2000" });
      assert.equal(exists(fixture, SYSCTL_PATH), false);
    }));

  it("after a boot and another tune still knows the values of before the first", () =>
    inFixture(STOCK, (fixture) => {
      persist(fixture);
      fixture.set("kernel.random.boot_id", "second-boot");
      persist(fixture, { ...MILLION, connections: 2_000_000 });
      restore(fixture);
      assert.deepEqual(fixture.all(), STOCK);
    }));
});
