/**
 * A worker that is busy is not hung: it pushes to 19,000 sockets of its own, again and again, while twice as many other processes as
 * there are cores burn CPU. With the default options nobody ends it (supervision/liveness.ts), and every push arrives.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { it } from "node:test";
import { evidencePath, readEvidence, startLoad } from "../support/evidence.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const CONNECTIONS = 19_000;
const BROADCASTS = 12;

const hardNofile = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
const freeKb = Number(/^MemFree:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
const skip =
  hardNofile < CONNECTIONS + 200
    ? `needs a hard descriptor limit of ${CONNECTIONS + 200}, has ${hardNofile}`
    : freeKb < 1.5e6 && "needs 1.5 GB of free memory";

const burn = (): ChildProcess => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });

it("a broadcast to 19,000 sockets of one worker while all cores are full never ends the worker", {
  skip,
  timeout: 180_000,
}, async (t) => {
  await using gateway = await Gateway.start("--connections", String(CONNECTIONS), "--workers", "1");
  const before = (await gateway.processes()).map(({ pid }) => pid);
  const report = evidencePath();
  const run = startLoad(
    gateway,
    report,
    ...["--connections", String(CONNECTIONS), "--generators", "2", "--hold-seconds", "3"],
    ...["--broadcasts", String(BROADCASTS), "--time-limit-seconds", "150"],
  );
  const connections = (): Promise<number> => gateway.metric("megagate_connections");
  await until("all are connected", connections, (n) => n === CONNECTIONS, 60_000);
  const burning = Array.from({ length: 2 * cpus().length }, burn);
  try {
    const exit = await run.ended;
    const { broadcasts, reasons } = readEvidence(report);
    assert.deepEqual(reasons, [], exit.stdout + exit.stderr);
    assert.equal(broadcasts.length, BROADCASTS);
    for (const { delivered, duplicates } of broadcasts) assert.deepEqual([delivered, duplicates], [CONNECTIONS, 0]);
    t.diagnostic(`slowest broadcast: ${Math.max(...broadcasts.map(({ lastSubscriberMs }) => lastSubscriberMs!))} ms`);
  } finally {
    for (const child of burning) child.kill("SIGKILL");
  }
  assert.equal(await gateway.metric("megagate_worker_restarts_total"), 0);
  for (const role of ["worker", "hub"])
    assert.equal(await gateway.metric(`megagate_hung_processes_ended_total{role="${role}"}`), 0);
  assert.deepEqual(
    (await gateway.processes()).map(({ pid }) => pid),
    before,
    "the processes that they were",
  );
  assert.doesNotMatch(gateway.run.stderr, /hangs/);
});
