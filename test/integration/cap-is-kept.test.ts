/** A worker at its cap stops listening; when all are, clients get 503, never silence; capacity is used again. */
import assert from "node:assert/strict";
import { it } from "node:test";
import WebSocket from "ws";
import { Client, HANDSHAKE, RawPeer } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const CAP = 50;

async function tryOpen(gateway: Gateway): Promise<Client | undefined> {
  const client = await Client.open(gateway.url).catch(() => undefined);
  return client?.socket.readyState === WebSocket.OPEN ? client : undefined;
}

it("no worker exceeds its cap, further clients get 503 with Retry-After, and freed capacity is used again", async () => {
  await using gateway = await Gateway.start("--workers", "3", "--worker-connections", String(CAP));
  const clients: Client[] = [];
  for (let i = 0; i < 40 && clients.length < 3 * CAP; i++) {
    const batch = await Promise.all(Array.from({ length: 10 }, () => tryOpen(gateway)));
    clients.push(...batch.filter((client) => client !== undefined));
  }
  assert.equal(clients.length, 3 * CAP, "all workers are full, however the kernel's hash spreads");
  const rows = await until(
    "counted",
    () => gateway.processes(),
    (all) => all.every((r) => r.role !== "worker" || r.connections === CAP),
  );
  assert.equal(rows.filter((row) => row.role === "worker").length, 3);
  await gateway.shows('megagate_connections_cap{limit="worker-connections"}', 3 * CAP);

  const refused = await RawPeer.connect(gateway.port);
  const text = await refused.untilEnd(HANDSHAKE);
  assert.match(text, /^HTTP\/1.1 503 .*Retry-After: \d+\r\n.*"code":4200/s);
  await until(
    "counted",
    () => gateway.metric('megagate_refused_total{reason="full"}'),
    (n) => n > 0,
  );

  await Promise.all(clients.splice(0, 30).map((client) => client.end()));
  const fresh = await until(
    "another is admitted",
    async () => {
      const client = await tryOpen(gateway);
      if (client) clients.push(client);
      return client;
    },
    (client) => client !== undefined,
  );
  assert.ok(fresh);
  await Promise.all(clients.map((client) => client.end()));
  await until(
    "all gone",
    () => gateway.metric("megagate_connections"),
    (n) => n === 0,
  );
  await until(
    "all listen",
    () => gateway.metric("megagate_workers_listening"),
    (n) => n === 3,
  );
  await gateway.shows("megagate_subscriptions", 0);
});
