/** A process that hangs is noticed, shown and replaced; one that is only busy is left alone. Takes half a minute. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import WebSocket from "ws";
import { Client } from "../support/client.js";
import { Gateway, type ProcessRow } from "../support/gateway.js";
import { until } from "../support/wait.js";

const START = { env: { NODE_OPTIONS: "--inspect-port=0" } };

const pidsOf = async (gateway: Gateway, role: ProcessRow["role"]): Promise<number[]> =>
  (await gateway.processes().catch(() => [])).filter((row) => row.role === role).map(({ pid }) => pid);

interface Readiness {
  readonly status: string;
  readonly detail?: readonly string[];
}
const readiness = async (gateway: Gateway): Promise<Readiness> =>
  (await (await gateway.admin("/readyz")).json()) as Readiness;

/** An endless loop, by way of its debugger: it burns CPU and hears nothing any more. */
async function spin(gateway: Gateway, pid: number): Promise<void> {
  const before = gateway.run.stderr.length;
  process.kill(pid, "SIGUSR1");
  const text = await until(
    "the debugger listens",
    () => gateway.run.stderr.slice(before),
    (said) => /ws:\/\/\S+/.test(said),
  );
  const socket = new WebSocket(/ws:\/\/\S+/.exec(text)![0]);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  socket.on("error", () => undefined);
  socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression: "for (;;);" } }));
}

const secondsUntilGone = async (pid: number): Promise<number> => {
  const startMs = performance.now();
  const lives = (): boolean => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  await until("it is ended", lives, (alive) => !alive, 40_000);
  return (performance.now() - startMs) / 1000;
};

describe("hung processes", { concurrency: true }, () => {
  it("a stopped worker is replaced after 20 s, one that spins is not; the gateway stays ready and says so", async () => {
    await using gateway = await Gateway.startIn(START, "--workers", "3", "--stop-seconds", "3");
    const [still, spins, well] = (await pidsOf(gateway, "worker")) as [number, number, number];
    await spin(gateway, spins);
    process.kill(still, "SIGSTOP");
    const gone = secondsUntilGone(still);
    const { detail } = await until(
      "both are named",
      () => readiness(gateway),
      (now) => now.detail?.length === 2,
    );
    assert.equal(await gateway.status("/readyz"), 200);
    assert.match(detail!.join(), /worker 0 has said nothing for \d+ s,worker 1 has said nothing for \d+ s/);
    await gateway.shows("megagate_workers_silent", 2);
    const seconds = await gone;
    assert.ok(seconds > 18 && seconds < 26, `${seconds.toFixed(1)} s`);
    const after = await until(
      "replaced",
      () => pidsOf(gateway, "worker"),
      (pids) => pids.length === 3 && !pids.includes(still),
    );
    assert.ok(after.includes(spins) && after.includes(well), "the others are the processes that they were");
    await gateway.shows('megagate_hung_processes_ended_total{role="worker"}', 1);
    assert.match(gateway.run.stderr, /worker 0 has said nothing for 5 s[\s\S]*worker 0 hangs: .*state T/);
    process.kill(spins, "SIGKILL");
    await until(
      "all speak",
      () => readiness(gateway),
      (now) => now.detail === undefined,
    );
  });

  it("the hub, spinning for --hung-seconds or stopped, is replaced; no client notices", async () => {
    const options = ["--workers", "1", "--hung-seconds", "6", "--stop-seconds", "3"];
    await using gateway = await Gateway.startIn(START, ...options);
    const client = await Client.open(`${gateway.url}?topics=t`);
    await client.find("subscribed", (m) => m.code === 0);
    for (const hang of [(pid: number) => spin(gateway, pid), (pid: number) => void process.kill(pid, "SIGSTOP")]) {
      const [hub] = (await pidsOf(gateway, "hub")) as [number];
      await hang(hub);
      const seconds = await secondsUntilGone(hub);
      assert.ok(seconds > 4 && seconds < 12, `${seconds.toFixed(1)} s`);
      await until(
        "ready again",
        () => gateway.status("/readyz").catch(() => 0),
        (status) => status === 200,
      );
      const { offset } = await gateway.publish("t", "after");
      await client.find("push", (m) => m.offset === offset);
    }
    // The new hub is told within a second.
    await until(
      "counted",
      () => gateway.metric('megagate_hung_processes_ended_total{role="hub"}'),
      (n) => n === 2,
    );
    assert.equal(client.closed, undefined);
    await client.end();
  });

  it("when nothing is heard from any worker, the gateway is not ready", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--stop-seconds", "2");
    const [worker] = (await pidsOf(gateway, "worker")) as [number];
    process.kill(worker, "SIGSTOP");
    await until(
      "not ready",
      () => gateway.status("/readyz"),
      (status) => status === 503,
    );
    process.kill(worker, "SIGCONT");
    await until(
      "ready again",
      () => gateway.status("/readyz"),
      (status) => status === 200,
    );
    assert.deepEqual(await pidsOf(gateway, "worker"), [worker]);
  });

  it("a supervisor that was itself stopped for longer ends nobody", async () => {
    await using gateway = await Gateway.start("--workers", "2", "--hung-seconds", "6", "--stop-seconds", "2");
    const before = [...(await pidsOf(gateway, "worker")), ...(await pidsOf(gateway, "hub"))];
    gateway.run.process.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    gateway.run.process.kill("SIGCONT");
    await new Promise((resolve) => setTimeout(resolve, 4000));
    assert.deepEqual([...(await pidsOf(gateway, "worker")), ...(await pidsOf(gateway, "hub"))], before);
  });
});
