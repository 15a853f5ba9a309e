/** `--state-dir`: what topics remember outlives the gateway, and if it cannot, the log line and the exit status say why. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Client } from "../support/client.js";
import { cli, type Exit, Gateway } from "../support/gateway.js";
import { needsRoot } from "../support/needs.js";
import { until } from "../support/wait.js";

const root = mkdtempSync(join(tmpdir(), "megagate-state-"));
const mounts: string[] = [];
after(() => {
  for (const mount of mounts) execFileSync("umount", ["-l", mount]);
  rmSync(root, { recursive: true, force: true });
});
let folders = 0;
const folder = (): string => join(root, String(folders++));
/** A small file system; undefined if this user must not mount one. */
function disk(size: string): string | undefined {
  const at = folder();
  mkdirSync(at);
  if (process.getuid?.() !== 0) return undefined;
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", at]);
  mounts.push(at);
  return at;
}
const onSmallDisk = { skip: needsRoot("for a small file system") };

const on = (dir: string): Promise<Gateway> =>
  Gateway.start("--workers", "2", "--state-dir", dir, "--stop-seconds", "5");
const refused = (dir: string): Promise<Exit> =>
  cli(["serve", "--port", "0", "--admin-port", "0", "--connections", "100", "--workers", "1", "--state-dir", dir])
    .ended;
const shown = async (
  gateway: Gateway,
  topic: string,
): Promise<{ epoch: string; offset: number; state: { data: unknown }[] }> =>
  (await (await gateway.admin(`/topics/${topic}`)).json()) as {
    epoch: string;
    offset: number;
    state: { data: unknown }[];
  };
const keyed = async (gateway: Gateway, topic: string, data: unknown, id?: string): Promise<Record<string, unknown>> => {
  const body = JSON.stringify({ topic, key: "k", data, ...(id !== undefined && { id }) });
  return (await (await gateway.admin("/publish", { method: "POST", body })).json()) as Record<string, unknown>;
};

describe("--state-dir", () => {
  it("rule 13: an orderly stop and a start go on: epoch, offsets, state, history, idempotency ids", async () => {
    const dir = folder();
    let gateway = await on(dir);
    const first = await keyed(gateway, "t", "one", "id-1");
    await keyed(gateway, "t", "two");
    assert.equal((await gateway.stop()).code, 0);
    gateway = await on(dir);
    const { epoch, offset, state } = await shown(gateway, "t");
    assert.deepEqual([epoch, offset, state[0]?.data], [first.epoch, 2, "two"]);
    const client = await Client.open(gateway.url);
    client.send({ reqtype: "Subscribe", topic: "t", since: { epoch, offset: 1 } });
    assert.equal((await client.find("answer", (m) => m.reqtype === "Subscribe")).recovered, true);
    await client.find("the missed push", (m) => m.offset === 2 && m.data === "two");
    assert.deepEqual(await keyed(gateway, "t", "one", "id-1"), { ...first, duplicate: true });
    await client.end();
    assert.equal((await gateway.stop()).code, 0);
  });

  it("rule 13: killing all processes at once loses nothing that was answered, on the same boot of the machine", async () => {
    const dir = folder();
    let gateway = await on(dir);
    const published = await Promise.all(Array.from({ length: 50 }, (_, n) => keyed(gateway, `t:${n}`, n)));
    const pids = (await gateway.processes()).map(({ pid }) => pid);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await gateway.run.ended;
    gateway = await on(dir);
    for (const [n, { epoch, offset }] of published.entries()) {
      const topic = await shown(gateway, `t:${n}`);
      assert.deepEqual([topic.epoch, topic.offset, topic.state[0]?.data], [epoch, offset, n]);
    }
    assert.equal((await gateway.stop()).code, 0);
  });

  it("rule 13: a copy keeps the states and begins new epochs, and logs it", async () => {
    const dir = folder();
    let gateway = await on(dir);
    const { epoch } = await keyed(gateway, "t", "one");
    const copy = folder();
    execFileSync("cp", ["-r", dir, copy]);
    assert.equal((await gateway.stop()).code, 0);
    gateway = await on(copy);
    const topic = await shown(gateway, "t");
    assert.notEqual(topic.epoch, epoch);
    assert.equal(topic.state[0]?.data, "one");
    const exit = await gateway.stop();
    assert.match(exit.stderr, /the file is a copy.*numbering begins again/);
  });

  it("is created if it is missing, for this user only", async () => {
    const dir = join(folder(), "a", "b");
    await using gateway = await on(dir);
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    await keyed(gateway, "t", 1);
    for (const name of readdirSync(dir)) assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600);
  });

  it("rule 15: is locked: a second gateway is refused, also while only a hub of the first one lives", async () => {
    const dir = folder();
    const gateway = await on(dir);
    const exit = await refused(dir);
    assert.equal(exit.code, 2);
    assert.match(exit.stderr, /--state-dir: .* is used by another gateway/);
    const hub = (await gateway.processes()).find(({ role }) => role === "hub")!;
    process.kill(hub.pid, "SIGSTOP");
    gateway.run.process.kill("SIGKILL");
    // Its output is open as long as the hub lives.
    await until(
      "the supervisor has gone",
      () => gateway.run.process.signalCode,
      (signal) => signal !== null,
    );
    try {
      assert.match((await refused(dir)).stderr, /is used by another gateway/);
    } finally {
      process.kill(hub.pid, "SIGCONT");
    }
    await until(
      "the hub has gone",
      () => existsSync(`/proc/${hub.pid}`),
      (is) => !is,
      20_000,
    );
    await using next = await on(dir);
    await next.publish("t", 1);
  });

  it("a folder that cannot be used is refused in one sentence", async () => {
    const file = folder();
    writeFileSync(file, "");
    const dangling = folder();
    symlinkSync("/nowhere/at/all", dangling);
    const foreign = folder();
    mkdirSync(foreign);
    writeFileSync(join(foreign, "topics-a.log"), "not a log of ours, but as long as one might be");
    const linked = folder();
    mkdirSync(linked);
    symlinkSync("/dev/null", join(linked, "topics-a.log"));
    const old = folder();
    mkdirSync(old);
    writeFileSync(join(old, "topics.ndjson"), "");
    const cases: [string, RegExp][] = [
      [file, /is not a folder/],
      [join(file, "below"), /cannot be made: a part of the path is no folder/],
      [dangling, /is a link to nothing/],
      ["/proc/megagate/state", /cannot be made: /],
      [foreign, /is not usable: it is no log of Megagate.*move the files away/],
      [linked, /a file of the log there is a link/],
      [old, /holds topics\.ndjson of Megagate 0\.1\.0.*move that file away/],
    ];
    for (const [dir, words] of cases) {
      const exit = await refused(dir);
      assert.equal(exit.code, 2, `${dir}: ${exit.stderr}`);
      assert.match(exit.stderr, words);
      assert.match(exit.stderr, /--state-dir/);
      assert.ok(!exit.stderr.includes("    at "), exit.stderr);
    }
  });

  it("a folder of another user, or one that is not writable, is refused", onSmallDisk, async () => {
    const dir = folder();
    mkdirSync(dir);
    chmodSync(root, 0o755);
    const as = (args: string[]): Promise<Exit> =>
      cli(
        ["serve", "--port", "0", "--admin-port", "0", "--connections", "100", "--workers", "1", ...args],
        {},
        { user: 65_534 },
      ).ended;
    assert.match((await as(["--state-dir", dir])).stderr, /belongs to user 0, and the gateway runs as 65534/);
    chownSync(dir, 65_534, 65_534);
    chmodSync(dir, 0o500);
    assert.match((await as(["--state-dir", dir])).stderr, /permission is denied/);
  });

  it(
    "rule 14: a disk that fills up: the gateway goes on, says so, and exits with 1 if there is no space at the end either",
    onSmallDisk,
    async () => {
      const at = disk("256k")!;
      const gateway = await on(join(at, "st"));
      await keyed(gateway, "small", 1);
      const large = Array.from({ length: 200 }, (_, n) => ({ topic: "t", key: `k${n}`, data: "x".repeat(2000) }));
      const answer = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(large) });
      assert.equal(answer.status, 200, "a publication does not fail for it");
      const ready = (await (await gateway.admin("/readyz")).json()) as { status: string; log?: string };
      assert.equal(ready.status, "ready");
      assert.match(ready.log ?? "", /--state-dir could not be written/);
      await gateway.shows("megagate_log_failed", 1);
      const hub = (await gateway.processes()).find(({ role }) => role === "hub")!;
      process.kill(hub.pid, "SIGKILL");
      await until(
        "ready again",
        () => gateway.status("/readyz").catch(() => 0),
        (status) => status === 200,
      );
      assert.equal((await shown(gateway, "t")).state.length, 200, "a hub may die meanwhile");
      const exit = await gateway.stop();
      assert.equal(exit.code, 1);
      assert.match(exit.stderr, /not in --state-dir: ENOSPC/);
      await using next = await on(join(at, "st"));
      assert.equal((await shown(next, "small")).state.length, 1, "what had space is restored");
    },
  );

  it("rule 14: when the disk has space again, the log returns to it", onSmallDisk, async () => {
    const at = disk("1m")!;
    const ballast = join(at, "ballast");
    let gateway = await on(join(at, "st"));
    await keyed(gateway, "a", 1);
    writeFileSync(ballast, Buffer.alloc(900_000));
    const large = Array.from({ length: 100 }, (_, n) => ({ topic: "t", key: `k${n}`, data: "x".repeat(2000) }));
    await gateway.admin("/publish", { method: "POST", body: JSON.stringify(large) });
    await gateway.shows("megagate_log_failed", 1);
    rmSync(ballast);
    await until(
      "it returns",
      () => gateway.metric("megagate_log_failed"),
      (n) => n === 0,
      20_000,
    );
    assert.equal((await gateway.stop()).code, 0);
    gateway = await on(join(at, "st"));
    assert.equal((await shown(gateway, "t")).state.length, 100);
    assert.equal((await gateway.stop()).code, 0);
  });

  it("a full disk at the start is a warning, and the stop reports that nothing was saved", onSmallDisk, async () => {
    const at = disk("64k")!;
    mkdirSync(join(at, "st"));
    try {
      writeFileSync(join(at, "ballast"), Buffer.alloc(200_000));
    } catch {
      // It is full now.
    }
    const gateway = await on(join(at, "st"));
    await keyed(gateway, "a", 1);
    const exit = await gateway.stop();
    assert.equal(exit.code, 1);
    assert.match(exit.stderr, /what topics remember is not in --state-dir/);
  });
});
