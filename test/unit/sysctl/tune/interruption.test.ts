/**
 * Runs tune in processes of its own: killed by SIGKILL between two writes, and on real kernel values. The kernel is a fixture,
 * or a network namespace that ends with the test; host-wide values are a fixture's in both.
 */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { openEtc } from "../../../../sysctl/tune/etc.js";
import { tune } from "../../../../sysctl/tune/tune.js";
import { untune } from "../../../../sysctl/tune/untune.js";
import { type Fixture, inFixture, procSysOf, STOCK } from "../fixture.js";

const camelCase = (name: string): string => name.replace(/-./g, (dashed) => dashed.slice(1).toUpperCase());
const module = (name: string): string => JSON.stringify(pathToFileURL(join("dist/sysctl", name)).href);
const IMPORTS = ["tune/etc", "kernel/proc-sys", "remedies/render", "settings", "tune/tune", "tune/untune"]
  .map((name) => `import * as ${camelCase(basename(name))} from ${module(`${name}.js`)};`)
  .join("\n");

/** Runs a program text with the modules of sysctl/ and two arguments, under a wrapper such as unshare. */
function run(
  program: string,
  fixture: Fixture,
  argument: string,
  wrapper: readonly string[] = [],
): SpawnSyncReturns<string> {
  const args = [process.execPath, "--input-type=module", "-e", `${IMPORTS}\n${program}`, fixture.root, argument];
  const [command = "", ...rest] = [...wrapper, ...args];
  return spawnSync(command, rest, { encoding: "utf8", timeout: 60_000 });
}

/** Kernel values and files share one count of writes; after the last one the process kills itself with SIGKILL. */
const KILLED_TUNE = `
  const [root, after] = process.argv.slice(1);
  let left = Number(after);
  const counted = (action) => (...args) => {
    if (left-- === 0) process.kill(process.pid, "SIGKILL");
    return action(...args);
  };
  const kernel = procSys.openProcSys(root);
  const files = etc.openEtc(root);
  const options = { statePath: root + "/var/lib/megagate/tune-rollback.json", allowLowering: true };
  tune.tune(
    { ...kernel, write: counted(kernel.write) },
    render.MILLION,
    { ...options, persistTo: { ...files, write: counted(files.write) } },
  );
`;

describe("tune that is killed", () => {
  const restore = (fixture: Fixture): void => {
    untune(procSysOf(fixture), openEtc(fixture.root), fixture.statePath);
    assert.deepEqual(fixture.all(), STOCK);
    assert.equal(existsSync(join(fixture.root, "etc")), false);
  };

  for (const writes of [0, 1, 5, 9, 10, 11]) {
    it(`at write ${writes + 1} is undone exactly`, () =>
      inFixture(STOCK, (fixture) => {
        const { signal, stderr } = run(KILLED_TUNE, fixture, String(writes));
        assert.equal(signal, "SIGKILL", stderr);
        assert.equal(
          Object.entries(fixture.all()).filter(([key, value]) => value !== STOCK[key]).length,
          Math.min(writes, 9),
        );
        restore(fixture);
      }));
  }

  it("and run again keeps the values of before the first time", () =>
    inFixture(STOCK, (fixture) => {
      run(KILLED_TUNE, fixture, "5");
      const persistTo = openEtc(fixture.root);
      const options = { statePath: fixture.statePath, allowLowering: true, persistTo };
      tune(procSysOf(fixture), { ...MILLION, connections: 2_000_000 }, options);
      assert.equal(fixture.get("net.ipv4.tcp_max_orphans"), "2000000");
      restore(fixture);
    }));
});

/** Prints the namespaced values before, after tune, and after untune, and what verify found not as wanted in between. */
const ROUND_TRIP = `
  const [root] = process.argv.slice(1);
  const real = procSys.openProcSys("/");
  const fixture = procSys.openProcSys(root);
  const own = new Set(settings.SETTINGS.filter((row) => row.scope === "namespace").map((row) => row.key));
  const of = (key) => (own.has(key) ? real : fixture);
  const mixed = {
    isRoot: true,
    read: (key) => of(key).read(key),
    denied: (key) => of(key).denied(key),
    write: (key, text) => of(key).write(key, text),
    identity: () => real.identity(),
  };
  const files = etc.openEtc(root);
  const options = { statePath: root + "/var/lib/megagate/tune-rollback.json", allowLowering: true };
  const values = () => [...own].map((key) => [key, real.read(key)]);
  const before = values();
  const tuned = tune.tune(mixed, render.MILLION, options).rows.filter((row) => row.failed);
  const after = values();
  const wanting = tune.verify(mixed, render.MILLION, { ...options, etc: files }).rows.filter((row) => row.failed);
  const { type } = untune.untune(mixed, files, options.statePath);
  console.log(JSON.stringify({ before, tuned, after, wanting, type, restored: values() }));
`;

it("apply, verify and rollback leave every value of a real network namespace as it was", (context) =>
  inFixture(STOCK, (fixture) => {
    const alone = process.getuid?.() === 0 ? ["unshare", "--net"] : ["unshare", "--user", "--map-root-user", "--net"];
    const [unshare = "", ...flags] = alone;
    if (spawnSync(unshare, [...flags, "true"]).status !== 0) {
      context.skip("needs a network namespace of its own: run the tests as root");
      return;
    }
    const { stdout, stderr } = run(ROUND_TRIP, fixture, "", alone);
    assert.equal(stderr, "");
    const seen = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([seen.tuned, seen.wanting, seen.type], [[], [], "restored"]);
    assert.notDeepEqual(seen.after, seen.before);
    assert.deepEqual(seen.restored, seen.before);
    assert.deepEqual(fixture.all(), STOCK);
  }));
