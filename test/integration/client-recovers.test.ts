/**
 * The SDK against a real gateway: whatever process dies, a subscription misses no push and gets none twice, or says
 * so where the gateway's history is too short; and a program that closed its client ends by itself.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { watchTopic } from "../../src/client/watch.js";
import { allReach, startDetectors } from "../support/gap-detector.js";
import { Gateway, Run } from "../support/gateway.js";
import { until } from "../support/wait.js";

/** Publishes, with a process of the given role killed in the middle. */
async function publishThroughDeath(gateway: Gateway, role: "worker" | "hub"): Promise<void> {
  for (let n = 0; n < 300; n++) {
    if (n === 100) {
      const rows = await gateway.processes();
      const victim = rows.find((row) => row.role === role && (role === "hub" || (row.connections ?? 0) > 0));
      assert.ok(victim, JSON.stringify(rows));
      process.kill(victim.pid, "SIGKILL");
    }
    const body = JSON.stringify({ topic: "t", key: `k${n % 50}`, data: n });
    // A hub that is away refuses, or leaves it open whether it was published.
    const answer = await gateway.admin("/publish", { method: "POST", body }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (!answer?.ok) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("client recovers", () => {
  for (const role of ["worker", "hub"] as const) {
    it(`from a ${role} killed with SIGKILL while publishing: no gap, no duplicate, the same state`, async () => {
      // More history than is published meanwhile: so everything can be recovered, and nothing may be reset.
      await using gateway = await Gateway.start("--workers", "2", "--history-count", "1000");
      const all = await startDetectors(gateway, 20);
      try {
        await until(
          "counted",
          () => gateway.metric("megagate_connections"),
          (n) => n === 20,
        );
        await publishThroughDeath(gateway, role);
        await allReach(gateway, all);
        const [fresh] = await startDetectors(gateway, 1);
        fresh?.client.close();
        assert.equal(fresh?.subscription.state.size, 50);
        for (const { faults, client, resets, subscription } of all) {
          assert.deepEqual([faults, resets, client.counts.resets], [[], 0, 0]);
          assert.deepEqual(new Map(subscription.state), new Map(fresh.subscription.state));
        }
        const connections = all.reduce((n, { client }) => n + client.counts.connections, 0);
        if (role === "hub") assert.equal(connections, 20, "a dead hub costs no socket");
        else assert.ok(connections > 20, "somebody had to come back");
      } finally {
        for (const { client } of all) client.close();
      }
    });
  }

  it("reports what is missing if the gateway remembers less than was missed", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--history-count", "10");
    // It comes back after two seconds, when all has been published.
    const [detector] = await startDetectors(gateway, 1, { baseMs: 2000, random: () => 1 });
    assert.ok(detector);
    const [worker] = (await gateway.processes()).filter(({ role }) => role === "worker");
    assert.ok(worker);
    process.kill(worker.pid, "SIGKILL");
    await until(
      "it lost its connection",
      () => detector.client.state,
      (state) => state !== "open",
    );
    for (let n = 0; n < 50; n++) await gateway.publish("t", n);
    await allReach(gateway, [detector]);
    assert.deepEqual([detector.faults, detector.resets], [[], 1]);
    detector.client.close();
  });

  it("follows the goodbye of a gateway that stops", async () => {
    const gateway = await Gateway.start("--workers", "1");
    const [detector] = await startDetectors(gateway, 1);
    const received: string[] = [];
    detector?.client.on("goodbye", ({ reason }) => received.push(reason));
    detector?.client.on("state", ({ to, code }) => received.push(`${to} ${code}`));
    await gateway.stop();
    await until(
      "it waits",
      () => received,
      (texts) => texts.length >= 2,
    );
    detector?.client.close();
    assert.deepEqual(received.slice(0, 2), ["drain", "waiting 1012"]);
  });

  it("lets the process end by itself after close(), open or connecting", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const client = fileURLToPath(new URL("../../src/client/client.js", import.meta.url));
    const program = `
      import WebSocket from "ws";
      import { MegagateClient } from ${JSON.stringify(client)};
      const open = new MegagateClient({ url: ${JSON.stringify(gateway.url)}, WebSocket });
      const connecting = new MegagateClient({ url: "ws://127.0.0.1:1/ws", WebSocket });
      connecting.subscribe("t");
      connecting.close();
      open.subscribe("t", { onState: () => { open.close(); console.log("closed"); } });`;
    const run = new Run(
      spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "pipe"] }),
    );
    const { code, stdout, stderr } = await run.ended;
    assert.deepEqual([code, stdout, stderr], [0, "closed\n", ""]);
  });

  it("is printed by megagate watch", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const end = new AbortController();
    let text = "";
    const over = watchTopic({
      url: gateway.url,
      topic: "t",
      WebSocket,
      signal: end.signal,
      write: (line) => {
        text += line;
      },
    });
    await until(
      "it stands",
      () => text,
      (lines) => lines.includes("stands at"),
    );
    await gateway.publish("t", { a: 1 });
    await until(
      "a push",
      () => text,
      (lines) => /\d{2}:\d{2}:\d{2}\.\d{3} {2}\d+ {2}- {2}\{"a":1\}\n/.test(lines),
    );
    end.abort();
    assert.equal(await over, undefined);
  });
});
