/** Total limit, limit per address, memory floor, and the storm gate with its tickets and slots: each refusal with its reason. */
import assert from "node:assert/strict";
import { totalmem } from "node:os";
import { it } from "node:test";
import WebSocket from "ws";
import { Client, HANDSHAKE, RawPeer } from "../support/client.js";
import { cli, Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

interface Address {
  readonly data: string;
  readonly afterMs?: number;
}

async function tryOpen(url: string): Promise<Client | undefined> {
  const client = await Client.open(url).catch(() => undefined);
  return client?.socket.readyState === WebSocket.OPEN ? client : undefined;
}

/**
 * Opens connections until there are `max` or the tries are used up. A few at a time: handshakes in flight count against a cap
 * too, and many at once at a cap of thirty would all be refused, again and again.
 */
async function openUpTo(gateway: Gateway, max: number, tries: number): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < tries && clients.length < max; i += 4) {
    const batch = await Promise.all(Array.from({ length: 4 }, () => tryOpen(gateway.url)));
    clients.push(...batch.filter((client) => client !== undefined));
    if (batch.includes(undefined)) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return clients;
}

/** The first refusal; opens connections until a handshake is refused. */
async function firstRefusal(port: number): Promise<{ status: number; retryAfter: number; code: number }> {
  const text = await until(
    "one is refused",
    async () => {
      const peer = await RawPeer.connect(port);
      peer.socket.write(HANDSHAKE);
      await until(
        "an answer",
        () => peer.received,
        (received) => received.includes("\r\n\r\n"),
      );
      peer.socket.destroy();
      return peer.received;
    },
    (received) => !received.startsWith("HTTP/1.1 101"),
  );
  const [, status, retryAfter, code] =
    /^HTTP\/1.1 (\d+) .*Retry-After: (\d+)\r\n.*"code":(\d+)/s.exec(text) ?? assert.fail(`not refused: ${text}`);
  return { status: Number(status), retryAfter: Number(retryAfter), code: Number(code) };
}

async function counted(gateway: Gateway, reason: string): Promise<void> {
  await until(
    `refused: ${reason}`,
    () => gateway.metric(`megagate_refused_total{reason="${reason}"}`),
    (n) => n > 0,
  );
}

const address = async (gateway: Gateway): Promise<Address> =>
  (await (await fetch(`http://127.0.0.1:${gateway.port}/bcall/url`)).json()) as Address;

it("clients learn in advance how to reconnect after a disconnect without a close frame, once there are many", async () => {
  await using gateway = await Gateway.start("--workers", "2", "--accept-rate", "20");
  const first = await Client.open(`${gateway.url}?topics=t`);
  // 40 need 4 s at half the rate; three tenths of them more than one.
  const clients = await openUpTo(gateway, 40, 4000);
  const refused = await first.find("what to do", (message) => message.event === "retry");
  assert.deepEqual(refused, { event: "retry", reconnect: { afterMs: [0, 2000] }, heartbeatMs: 100_000 });
  const late = await until(
    "a newcomer",
    () => tryOpen(`${gateway.url}?topics=t`),
    (client) => client !== undefined,
  );
  // In either order, because the answer may have to wait for the hub.
  await late!.find("what to do", (message) => message.event === "retry");
  await late!.find("the answer", (message) => message.reqtype === "Subscribe");
  await Promise.all([first, late!, ...clients].map((client) => client.end()));
});

it("the total limit is exact over two workers, and a connection that ends makes way for another", async () => {
  await using gateway = await Gateway.start("--workers", "2", "--max-connections", "61");
  const clients = await openUpTo(gateway, 61, 4000);
  assert.equal(clients.length, 61);
  const refused = await firstRefusal(gateway.port);
  assert.deepEqual([refused.status, refused.code], [503, 4211]);
  assert.ok(refused.retryAfter >= 5 && refused.retryAfter < 15);
  await counted(gateway, "total_limit");
  await gateway.shows("megagate_connections", 61);
  await Promise.all(clients.splice(0, 30).map((client) => client.end()));
  const fresh = await until(
    "another is admitted",
    () => tryOpen(gateway.url),
    (client) => client !== undefined,
  );
  clients.push(fresh!);
  await Promise.all(clients.map((client) => client.end()));
});

it("an address has as many connections as it may, others are not affected, and each that ends makes way for another", async () => {
  await using gateway = await Gateway.start("--workers", "1", "--connections-per-address", "10");
  const clients = await openUpTo(gateway, 20, 40);
  assert.equal(clients.length, 10);
  const refused = await firstRefusal(gateway.port);
  assert.deepEqual([refused.status, refused.code], [429, 4210]);
  await counted(gateway, "address_limit");
  const other = new WebSocket(gateway.url, { localAddress: "127.0.0.77" });
  await until(
    "the other address is admitted",
    () => other.readyState,
    (state) => state === WebSocket.OPEN,
  );
  other.terminate();
  for (const client of clients.splice(0, 5)) client.socket.terminate();
  await until(
    "disconnected ones are no longer counted",
    () => gateway.metric("megagate_connections"),
    (n) => n === 5,
  );
  clients.push(...(await openUpTo(gateway, 20, 40)));
  assert.equal(clients.length, 10);
  await Promise.all(clients.map((client) => client.end()));
});

it("connections are refused where, by the model, the memory floor begins", async () => {
  // Supervisor, hub and one worker at 12 MB each; 5,040 bytes a connection (capacity.ts).
  const memory = Math.min(totalmem(), process.constrainedMemory() || totalmem());
  const floor = memory - 3 * 12e6 - 25 * 5040;
  await using gateway = await Gateway.start("--workers", "1", "--memory-floor-bytes", String(floor));
  assert.match(gateway.run.stderr, /memory by the model/);
  const clients = await openUpTo(gateway, 40, 80);
  assert.equal(clients.length, 25);
  const refused = await firstRefusal(gateway.port);
  assert.deepEqual([refused.status, refused.code], [503, 4212]);
  await counted(gateway, "memory");
  await Promise.all(clients.map((client) => client.end()));
});

it("a limit that leaves no connection stops the start with the remedy", async () => {
  const base = ["serve", "--port", "0", "--admin-port", "0", "--connections", "2000"];
  const few = await cli([...base, "--workers", "3", "--max-connections", "2"]).ended;
  assert.equal(few.code, 2);
  assert.match(few.stderr, /--max-connections: 3 workers need at least one connection each/);
  const none = await cli([...base, "--memory-floor-bytes", "1099511627776"]).ended;
  assert.equal(none.code, 2);
  assert.match(none.stderr, /--memory-floor-bytes: .*0 switches the floor off/);
});

it("in a storm handshakes are refused, a client that asks gets a slot, and a valid ticket is admitted first", async () => {
  await using gateway = await Gateway.start("--workers", "1", "--accept-rate", "10");
  assert.deepEqual(await address(gateway), { data: gateway.url }, "outside of storms no slot");
  const clients = await openUpTo(gateway, 40, 40);
  assert.ok(clients.length >= 10 && clients.length < 40, `${clients.length} of 40 at 10 a second`);
  await counted(gateway, "storm");
  const refused = await firstRefusal(gateway.port);
  assert.deepEqual([refused.status, refused.code], [503, 4213]);
  assert.ok(refused.retryAfter >= 1 && refused.retryAfter <= 61);

  const first = await address(gateway);
  const second = await address(gateway);
  assert.match(first.data, /^ws:\/\/127\.0\.0\.1:\d+\/ws\?ticket=[\w.-]+$/);
  assert.ok(second.afterMs! > first.afterMs! && second.afterMs! <= first.afterMs! + 100);
  const many = (url: string, count: number): Promise<(Client | undefined)[]> =>
    Promise.all(Array.from({ length: count }, () => tryOpen(url)));
  // Other clients keep the gate at its limit while clients with a ticket connect.
  const [others, withTicket, withForgery] = await Promise.all([
    many(gateway.url, 30),
    many(`${first.data}&topics=news`, 5),
    many(`${gateway.url}?ticket=kq0.AAAAAAAAAAAAAAAAAAAAAA`, 30),
  ]);
  assert.ok(others.includes(undefined) && withForgery.includes(undefined), "a forged ticket counts as none");
  assert.ok(!withTicket.includes(undefined), "clients with a ticket are admitted first");
  await withTicket[0]!.find("subscribed", (message) => message.topic === "news");
  for (const event of ["given", "valid", "forged"])
    await until(
      event,
      () => gateway.metric(`megagate_tickets_total{event="${event}"}`),
      (n) => n > 0,
    );
  await gateway.shows("megagate_workers_in_storm", 1);
  await gateway.shows("megagate_accept_rate_budget", 10);
  assert.equal(await gateway.status("/readyz"), 200);
  await until(
    "the storm is over",
    () => address(gateway),
    ({ afterMs }) => afterMs === undefined,
    15_000,
  );
  for (const client of [...clients, ...others, ...withTicket, ...withForgery]) client?.socket.terminate();
});
