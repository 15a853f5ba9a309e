/** How long a drain would take is known before it; it is orderly: not ready first, then a goodbye to every client. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Client, RawPeer } from "../support/client.js";
import { cli, type Exit, Gateway } from "../support/gateway.js";
import { NaiveClient } from "../support/naive.js";
import { until } from "../support/wait.js";

const drainPlan = (gateway: Gateway, ...args: string[]): Promise<Exit> =>
  cli(["drain", "--plan", "--admin-url", `http://127.0.0.1:${gateway.adminPort}`, ...args]).ended;

const counted = (gateway: Gateway, connections: number): Promise<number> =>
  until(
    "counted",
    () => gateway.metric("megagate_connections"),
    (n) => n === connections,
  );

describe("a drain", () => {
  it("makes the gateway not ready first, which still serves for --stop-notice-seconds", async () => {
    const gateway = await Gateway.start("--workers", "2", "--stop-notice-seconds", "2");
    const ended = gateway.stop();
    await until(
      "not ready",
      () => gateway.status("/readyz"),
      (status) => status === 503,
    );
    const client = await Client.open(`${gateway.url}?topics=t`);
    await client.find("subscribed", (m) => m.code === 0);
    await gateway.publish("t", "still");
    await client.find("push", (m) => m.data === "still");
    assert.equal((await client.untilClosed()).code, 1012);
    assert.equal((await ended).code, 0);
  });

  it("lets accepted handshakes finish, and does not wait for one that never comes", async () => {
    const gateway = await Gateway.start("--workers", "1");
    const silent = await RawPeer.connect(gateway.port);
    await until(
      "accepted",
      () => gateway.metric("megagate_handshakes_in_flight"),
      (n) => n === 1,
    );
    const startMs = performance.now();
    assert.equal((await gateway.stop()).code, 0);
    assert.ok(performance.now() - startMs < 8000);
    await silent.untilEnd();
  });

  it("is planned from the gateway's connections and rates, and the plan refused where the window is too short", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const naive = await NaiveClient.many(gateway.url, 20);
    await counted(gateway, 20);
    const plan = await drainPlan(gateway);
    assert.equal(plan.code, 0, plan.stderr);
    assert.match(plan.stdout, /^20 connections on 2 workers; 10,000 a second can come back/);
    assert.match(plan.stdout, /--stop-seconds is 60; at this pace it needs 5\n/);
    const short = await drainPlan(gateway, "--window", "3", "--json");
    assert.equal(short.code, 3, short.stdout);
    assert.match(short.stderr, /a window of 3 s is too short: 20 connections .* need 5 s\. A window of 5 s would do/);
    assert.equal((JSON.parse(short.stdout) as { connections: number }).connections, 20);
    assert.equal((await cli(["drain"]).ended).code, 2);
    assert.equal((await cli(["drain", "--plan", "--admin-url", "http://127.0.0.1:1"]).ended).code, 1);
    for (const client of naive) client.stop();
  });
});
