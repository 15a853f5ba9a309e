/** Two gateways on one machine: each port has one of them, and a shared run directory mixes nothing. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { cli, Gateway, type Run } from "../support/gateway.js";
import { until } from "../support/wait.js";

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

const serve = (port: number, adminPort: number): Run =>
  cli([
    "serve",
    ...["--port", String(port), "--admin-port", String(adminPort)],
    ...["--workers", "1", "--connections", "1000", "--stop-seconds", "2"],
  ]);

/** Ready, or ended. */
async function decided(run: Run): Promise<"ready" | "ended"> {
  const state = (): "ready" | "ended" | undefined =>
    run.process.exitCode !== null ? "ended" : run.stdout.includes("\n") ? "ready" : undefined;
  return (await until("it is ready or has ended", state, (now) => now !== undefined, 20_000))!;
}

describe("two gateways", () => {
  it("started on one public port at once: one is ready, the other exits 2 and names who holds the port", async () => {
    const port = await freePort();
    const both = [serve(port, 0), serve(port, 0)];
    try {
      const outcomes = await Promise.all(both.map(decided));
      assert.deepEqual(outcomes.sort(), ["ended", "ready"]);
      const refused = await both.find((run) => run.process.exitCode !== null)!.ended;
      assert.equal(refused.code, 2);
      const holder = both.find((run) => run.process.exitCode === null)!.process.pid!;
      assert.match(refused.stderr, new RegExp(`public port ${port} .*another gateway \\(process ${holder}, .*--port`));
    } finally {
      for (const run of both) run.process.kill("SIGTERM");
      await Promise.all(both.map((run) => run.ended));
    }
    const again = serve(port, 0);
    assert.equal(await decided(again), "ready", "a port is free when its gateway has ended");
    again.process.kill("SIGTERM");
    assert.equal((await again.ended).code, 0);
  });

  it("the admin port, and one gateway's port as the other's admin port, are refused likewise", async () => {
    await using first = await Gateway.start("--workers", "1", "--stop-seconds", "2");
    for (const [port, adminPort] of [
      [0, first.adminPort],
      [0, first.port],
    ] as const) {
      const { code, stderr } = await serve(port, adminPort).ended;
      assert.equal(code, 2);
      assert.match(stderr, /admin port \d+ on 127\.0\.0\.1 is held by another gateway/);
    }
    const port = await freePort();
    assert.match((await serve(port, port).ended).stderr, /--admin-port: \d+ is the public port/);
  });

  it("sharing a run directory, each worker finds its own hub again", async () => {
    const dir = mkdtempSync(join(tmpdir(), "megagate-two-"));
    try {
      const options = ["--workers", "1", "--run-dir", dir, "--stop-seconds", "2"];
      await using first = await Gateway.start(...options);
      await using second = await Gateway.start(...options);
      const workerOf = async (gateway: Gateway) =>
        (await gateway.processes()).find(({ role }) => role === "worker")?.pid;
      const [old, others] = [await workerOf(first), await workerOf(second)];
      process.kill(old!, "SIGKILL");
      const fresh = await until(
        "replaced",
        () => workerOf(first),
        (pid) => pid !== undefined && pid !== old,
      );
      assert.notEqual(fresh, others);
      assert.equal(await workerOf(second), others);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("a run directory that others can write is refused with the remedy", async () => {
    const { code, stderr } = await cli(["serve", "--port", "0", "--admin-port", "0", "--run-dir", "/tmp"]).ended;
    assert.equal(code, 2);
    assert.match(stderr, /--run-dir: \/tmp (can be written by others \(mode 1777\)|belongs to user)/);
  });
});
