/** Workers are replaced one by one under traffic, without a reset, a loss or a surprise. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Client } from "../support/client.js";
import { allReach, startDetectors } from "../support/gap-detector.js";
import { cli, type Exit, Gateway, type ProcessRow } from "../support/gateway.js";
import { NaiveClient } from "../support/naive.js";
import { until } from "../support/wait.js";

const CAP = 200;

const restartWorkers = (gateway: Gateway): Promise<Exit> =>
  cli(["restart-workers", "--admin-url", `http://127.0.0.1:${gateway.adminPort}`]).ended;

const workersOf = async (gateway: Gateway): Promise<ProcessRow[]> =>
  (await gateway.processes()).filter(({ role }) => role === "worker");

const rollState = async (gateway: Gateway): Promise<{ state: string; replaced: number; detail: string }> =>
  (await (await gateway.admin("/restart-workers")).json()) as { state: string; replaced: number; detail: string };

const counted = (gateway: Gateway, connections: number): Promise<number> =>
  until(
    "counted",
    () => gateway.metric("megagate_connections"),
    (n) => n === connections,
  );

/** Publishes until told to stop, and looks how full the workers are meanwhile. */
function traffic(gateway: Gateway): () => Promise<{ published: number; fullest: number }> {
  const end = new AbortController();
  const running = (async () => {
    let published = 0;
    let fullest = 0;
    while (!end.signal.aborted) {
      await gateway.publish("t", published++);
      if (published % 20 !== 0) continue;
      fullest = Math.max(fullest, ...(await workersOf(gateway)).map(({ connections }) => connections ?? 0));
    }
    return { published, fullest };
  })();
  return () => {
    end.abort();
    return running;
  };
}

describe("a rolling restart", () => {
  it("moves every socket with a goodbye: no reset, nothing lost, nothing twice, no worker above its cap", async () => {
    const limits = ["--worker-connections", String(CAP), "--history-count", "100000", "--history-bytes", "100MB"];
    await using gateway = await Gateway.start("--workers", "3", ...limits);
    const all = await startDetectors(gateway, 60);
    const naive = await NaiveClient.many(`${gateway.url}?topics=t`, 240);
    try {
      await counted(gateway, 300);
      const before = await workersOf(gateway);
      const stopTraffic = traffic(gateway);
      const exit = await restartWorkers(gateway);
      const { published, fullest } = await stopTraffic();
      assert.equal(exit.code, 0, exit.stdout + exit.stderr);
      assert.match(exit.stdout, /3 workers replaced/);
      await allReach(gateway, all);
      const after = await workersOf(gateway);
      assert.equal(after.length, 3);
      const old = new Set(before.map(({ pid }) => pid));
      assert.deepEqual(
        after.filter(({ pid }) => old.has(pid)),
        [],
      );
      assert.ok(published > 100, `published ${published}`);
      assert.ok(fullest <= CAP, `a worker held ${fullest}`);
      for (const { faults, resets, client } of all) {
        assert.deepEqual([faults, resets, client.counts.resets], [[], 0, 0]);
      }
      await counted(gateway, 300);
      assert.deepEqual(
        naive.flatMap(({ errors }) => errors),
        [],
      );
      const ends = naive.flatMap((client) => client.ends);
      assert.ok(ends.length >= 240, "everybody was moved");
      assert.deepEqual(
        ends.filter(({ code, goodbye, windowMs }) => code !== 1012 || goodbye !== "restart" || windowMs !== 1000),
        [],
      );
      const moves = ends.length + all.reduce((n, { client }) => n + client.counts.connections - 1, 0);
      // The last numbers of the last worker may still be on their way.
      const closed = (): Promise<number> => gateway.metric('megagate_closed_total{reason="restart"}');
      await until(`each of ${moves} moves is counted`, closed, (n) => n === moves);
      await gateway.shows('megagate_closed_total{reason="worker_lost"}', 0);
      await gateway.shows("megagate_worker_rolls_total", 3);
      await gateway.shows("megagate_worker_restarts_total", 0);
    } finally {
      for (const { client } of all) client.close();
      for (const client of naive) client.stop();
    }
  });

  it("leaves the numbering alone: a hub killed afterwards goes on with the offsets", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const [client] = await NaiveClient.many(`${gateway.url}?topics=t`, 1);
    const before = await gateway.publish("t", 1);
    assert.equal((await restartWorkers(gateway)).code, 0);
    const hub = (await gateway.processes()).find(({ role }) => role === "hub")!;
    process.kill(hub.pid, "SIGKILL");
    const ready = (): Promise<number> => gateway.status("/readyz").catch(() => 0);
    await until("ready again", ready, (status) => status === 200, 20_000);
    assert.deepEqual(await gateway.publish("t", 2), { ...before, offset: 2 });
    assert.equal((await rollState(gateway)).state, "done", "a restarted hub still knows");
    client?.stop();
  });

  it("goes on when the hub dies in the middle, and every client is back", async () => {
    await using gateway = await Gateway.start("--workers", "3");
    const naive = await NaiveClient.many(`${gateway.url}?topics=t`, 60);
    gateway.run.process.kill("SIGHUP");
    const rolling = (): Promise<{ state: string; replaced: number }> =>
      rollState(gateway).catch(() => ({ state: "away", replaced: 0 }));
    await until("in the middle", rolling, ({ replaced }) => replaced >= 1);
    const hub = (await gateway.processes()).find(({ role }) => role === "hub")!;
    process.kill(hub.pid, "SIGKILL");
    await until("done", rolling, ({ state }) => state === "done", 40_000);
    await counted(gateway, 60);
    assert.equal((await workersOf(gateway)).length, 3);
    for (const client of naive) client.stop();
  });

  it("is one at a time: asked again by SIGHUP or by the command it is refused, and goes on", async () => {
    await using gateway = await Gateway.start("--workers", "3");
    gateway.run.process.kill("SIGHUP");
    await until(
      "rolling",
      () => rollState(gateway),
      ({ state }) => state === "rolling",
    );
    // Nearer than half a second it would be the same request.
    await new Promise((resolve) => setTimeout(resolve, 600));
    gateway.run.process.kill("SIGHUP");
    const exit = await restartWorkers(gateway);
    assert.equal(exit.code, 1, exit.stdout);
    assert.match(exit.stderr, /"code":4017.*of 3 workers are replaced/);
    await until(
      "done",
      () => rollState(gateway),
      ({ state, replaced }) => state === "done" && replaced === 3,
      30_000,
    );
    assert.match(gateway.run.stderr, /no rolling restart: another one is running/);
  });

  it("gives way to SIGTERM: everybody is told, and everything ends", async () => {
    const gateway = await Gateway.start("--workers", "3");
    const clients = await Promise.all(Array.from({ length: 30 }, () => Client.open(gateway.url)));
    gateway.run.process.kill("SIGHUP");
    await until(
      "in the middle",
      () => rollState(gateway),
      ({ replaced }) => replaced >= 1,
    );
    const pids = (await gateway.processes()).map(({ pid }) => pid);
    const exit = await gateway.stop();
    assert.equal(exit.code, 0, exit.stderr);
    for (const client of clients) {
      assert.equal((await client.untilClosed()).code, 1012);
      await client.find("goodbye", (m) => m.event === "goodbye");
    }
    for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  });

  it("stops at a new process that does not start, and leaves the old ones as they were", async () => {
    const folder = mkdtempSync(join(tmpdir(), "megagate-copy-"));
    try {
      cpSync("dist/src", join(folder, "dist/src"), { recursive: true });
      for (const part of ["load", "sysctl", "browser"]) {
        cpSync(join("dist", part), join(folder, "dist", part), { recursive: true });
      }
      cpSync("package.json", join(folder, "package.json"));
      symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
      await using gateway = await Gateway.startIn({ program: join(folder, "dist/src/cli.js") }, "--workers", "2");
      const client = await Client.open(gateway.url);
      const before = await workersOf(gateway);
      const entry = join(folder, "dist/src/process/worker.js");
      const whole = readFileSync(entry, "utf8");
      writeFileSync(entry, "process.exit(7);");
      const exit = await restartWorkers(gateway);
      assert.equal(exit.code, 1, exit.stdout);
      assert.match(exit.stderr, /0 of 2 replaced: the new process for worker 2 died while it started/);
      assert.deepEqual(
        (await workersOf(gateway)).map(({ pid }) => pid),
        before.map(({ pid }) => pid),
      );
      assert.equal(await gateway.status("/readyz"), 200);
      assert.equal(client.closed, undefined);
      writeFileSync(entry, whole);
      assert.equal((await restartWorkers(gateway)).code, 0, "once it is mended it works");
      assert.equal((await client.untilClosed()).code, 1012);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
