/** A process that dies is restarted and counted; a gateway that stops sends a goodbye to every client; nothing listens without an owner. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { Client, RawPeer } from "../support/client.js";
import { allReach, startDetectors } from "../support/gap-detector.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

async function clientsOn(gateway: Gateway, count: number): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => Client.open(`${gateway.url}?topics=t`)));
  for (const client of clients) await client.find("subscribed", (m) => m.code === 0);
  return clients;
}

const live = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe("processes survive", () => {
  it("a worker killed with SIGKILL costs only its own sockets, comes back, and is counted", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const clients = await clientsOn(gateway, 30);
    const rows = await until(
      "counted",
      () => gateway.processes(),
      (all) => sum(all) === 30,
    );
    const victim = rows.find((row) => row.role === "worker" && (row.connections ?? 0) > 0)!;
    process.kill(victim.pid, "SIGKILL");
    await until(
      "its sockets end",
      () => clients.filter((c) => c.closed).length,
      (n) => n === victim.connections,
    );
    await until(
      "restarted",
      () => gateway.metric("megagate_worker_restarts_total"),
      (n) => n === 1,
    );
    await until(
      "ready again",
      () => gateway.status("/readyz"),
      (status) => status === 200,
    );
    await gateway.shows('megagate_closed_total{reason="worker_lost"}', victim.connections!);
    const accepted = await gateway.metric("megagate_accepted_total");
    assert.equal(accepted, 30, "totals of a dead worker are kept");
    const { offset } = await gateway.publish("t", 1);
    for (const client of clients.filter((c) => !c.closed)) await client.find("push", (m) => m.offset === offset);
    const fresh = await clientsOn(gateway, 10);
    await Promise.all([...fresh, ...clients.filter((c) => !c.closed)].map((client) => client.end()));
  });

  it("the hub killed with SIGKILL closes no socket; numbering goes on, without gap or duplicate", async () => {
    await using gateway = await Gateway.start("--workers", "3");
    const clients = await clientsOn(gateway, 30);
    const before = await gateway.publish("t", 1);
    const alone = await gateway.publish("nobody-follows", 1);
    const hub = (await gateway.processes()).find((row) => row.role === "hub")!;
    process.kill(hub.pid, "SIGKILL");
    const ready = () => gateway.status("/readyz").catch(() => 0);
    await until("ready again", ready, (status) => status === 200, 20_000);
    const after = await gateway.publish("t", 2);
    assert.deepEqual(after, { ...before, offset: before.offset + 1 });
    const again = await gateway.publish("nobody-follows", 2);
    assert.deepEqual(again, { ...alone, offset: alone.offset + 1 }, "of topics that nobody follows too");
    for (const client of clients) {
      await client.find("push", (m) => m.data === 2);
      assert.deepEqual(
        client.messages.filter((m) => m.reqtype === undefined).map((m) => m.offset),
        [1, 2],
      );
      assert.equal(client.closed, undefined);
    }
    await until(
      "counters return",
      () => gateway.metric("megagate_connections"),
      (n) => n === 30,
    );
    await Promise.all(clients.map((client) => client.end()));
  });

  it("SIGTERM: goodbye with a window, close 1012, exit 0, port free", async () => {
    const gateway = await Gateway.start("--workers", "2", "--connections", "30000");
    const clients = await clientsOn(gateway, 40);
    const exit = await gateway.stop();
    assert.equal(exit.code, 0, exit.stderr);
    for (const client of clients) {
      assert.deepEqual(await client.untilClosed(), { code: 1012, reason: "the gateway is stopping" });
      const goodbye = await client.find("goodbye", (m) => m.event === "goodbye");
      assert.deepEqual(goodbye.reconnect, { afterMs: [0, 1000] }, "as many as there are, not as were planned for");
    }
    const error = await new Promise<NodeJS.ErrnoException>((resolve) =>
      connect(gateway.port, "127.0.0.1").once("error", resolve),
    );
    assert.equal(error.code, "ECONNREFUSED");
  });

  it("several workers killed at once come back, and the clients of the SDK miss nothing", async () => {
    await using gateway = await Gateway.start("--workers", "4");
    const all = await startDetectors(gateway, 40);
    try {
      const workers = (await gateway.processes()).filter(({ role }) => role === "worker");
      await gateway.publish("t", 1);
      for (const { pid } of workers.slice(0, 3)) process.kill(pid, "SIGKILL");
      for (let n = 0; n < 50; n++) await gateway.publish("t", n);
      await until(
        "restarted",
        () => gateway.metric("megagate_worker_restarts_total"),
        (n) => n === 3,
      );
      await until(
        "ready again",
        () => gateway.status("/readyz"),
        (status) => status === 200,
      );
      await allReach(gateway, all);
      for (const { faults, resets } of all) assert.deepEqual([faults, resets], [[], 0]);
    } finally {
      for (const { client } of all) client.close();
    }
  });

  it("a supervisor killed with SIGKILL leaves nothing behind within --stop-seconds, and clients get a goodbye", async () => {
    const gateway = await Gateway.start("--workers", "2", "--stop-seconds", "10");
    const clients = await clientsOn(gateway, 20);
    // One that never answers a close frame, and one in the middle of its handshake.
    const deaf = await RawPeer.upgraded(gateway.port);
    deaf.socket.pause();
    const silent = await RawPeer.connect(gateway.port);
    const pids = (await gateway.processes()).map((row) => row.pid);
    const startMs = performance.now();
    gateway.run.process.kill("SIGKILL");
    await until(
      "all have left",
      () => pids.filter(live),
      (left) => left.length === 0,
      15_000,
    );
    assert.ok(performance.now() - startMs < 10_000);
    for (const client of clients) {
      assert.equal((await client.untilClosed()).code, 1012);
      await client.find("goodbye", (m) => m.event === "goodbye" && m.reason === "drain");
    }
    for (const peer of [deaf, silent]) peer.socket.destroy();
  });

  it("a reader of its output that goes away does not end the gateway", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    gateway.run.process.stdout?.destroy();
    gateway.run.process.stderr?.destroy();
    const worker = (await gateway.processes()).find((row) => row.role === "worker")!;
    process.kill(worker.pid, "SIGKILL");
    await until(
      "restarted",
      () => gateway.metric("megagate_worker_restarts_total"),
      (n) => n === 1,
    );
    await until(
      "ready again",
      () => gateway.status("/readyz"),
      (status) => status === 200,
    );
  });

  it("a client that stops reading is cut and counted; the others get everything", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const good = await Client.open(`${gateway.url}?topics=t`);
    const stalled = await RawPeer.connect(gateway.port);
    stalled.socket.pause();
    stalled.socket.write(
      "GET /ws?topics=t HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    await until(
      "both subscribed",
      () => gateway.metric("megagate_subscriptions"),
      (n) => n === 2,
    );
    const data = "x".repeat(12_000);
    let last = 0;
    let sent = 0;
    // The kernel takes megabytes for a stalled reader before uWebSockets notices (src/README.md fact 7).
    while (sent < 3000 && (sent % 100 !== 0 || (await gateway.metric('megagate_closed_total{reason="slow"}')) === 0)) {
      last = (await gateway.publish("t", data)).offset;
      sent += 1;
      // The good reader shares this process with the publisher: on a busy machine it must be let read, or it is slow too.
      if (sent % 10 === 0) await good.find("the good reader keeps up", (m) => m.offset === last);
    }
    await until(
      "cut",
      () => gateway.metric('megagate_closed_total{reason="slow"}'),
      (n) => n === 1,
    );
    assert.ok((await gateway.metric('megagate_unsent_messages_total{reason="disconnect"}')) > 0);
    await good.find("last push", (m) => m.offset === last);
    assert.equal(good.messages.filter((m) => m.reqtype === undefined).length, last, "the good reader missed nothing");
    stalled.socket.destroy();
    await good.end();
  });
});

const sum = (rows: readonly { connections?: number }[]): number =>
  rows.reduce((n, row) => n + (row.connections ?? 0), 0);
