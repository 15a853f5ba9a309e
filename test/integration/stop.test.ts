/** An orderly stop: within its time whatever the processes do, and as orderly when it is asked for in a double breath. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Client } from "../support/client.js";
import { Gateway } from "../support/gateway.js";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("a stop", () => {
  for (const role of ["hub", "worker"] as const) {
    it(`takes --stop-seconds at most when the ${role} does not answer: one deadline for all`, async () => {
      const gateway = await Gateway.start("--workers", "1", "--stop-seconds", "3");
      const { pid } = (await gateway.processes()).find((row) => row.role === role)!;
      process.kill(pid, "SIGSTOP");
      const startMs = performance.now();
      const exit = await gateway.stop();
      const seconds = (performance.now() - startMs) / 1000;
      assert.equal(exit.code, 0, exit.stderr);
      assert.ok(seconds < 4, `${seconds.toFixed(1)} s`);
      assert.match(exit.stderr, role === "hub" ? /the hub was not done within/ : /workers were not done within/);
    });
  }

  it("the notice is part of the deadline: the wait for a hub that hangs does not come on top of it", async () => {
    const gateway = await Gateway.start("--workers", "1", "--stop-seconds", "1", "--stop-notice-seconds", "1");
    process.kill((await gateway.processes()).find(({ role }) => role === "hub")!.pid, "SIGSTOP");
    const startMs = performance.now();
    await gateway.stop();
    const seconds = (performance.now() - startMs) / 1000;
    assert.ok(seconds < 3, `${seconds.toFixed(1)} s`);
  });

  it("two signals at once are one request, as timeout(1) sends them: clients get their goodbye, exit 0", async () => {
    const gateway = await Gateway.start("--workers", "1", "--stop-seconds", "5");
    const client = await Client.open(gateway.url);
    gateway.run.process.kill("SIGTERM");
    await pause(50);
    gateway.run.process.kill("SIGTERM");
    const exit = await gateway.run.ended;
    assert.equal(exit.code, 0, exit.stderr);
    assert.equal((await client.untilClosed()).code, 1012);
  });

  it("a second signal later stops at once, with 130", async () => {
    const gateway = await Gateway.start("--workers", "1", "--stop-seconds", "30", "--stop-notice-seconds", "20");
    gateway.run.process.kill("SIGTERM");
    await pause(700);
    gateway.run.process.kill("SIGINT");
    const exit = await gateway.run.ended;
    assert.equal(exit.code, 130, exit.stderr);
  });
});
