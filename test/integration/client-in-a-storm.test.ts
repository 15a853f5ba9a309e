/** The SDK when too many clients come at once, or its address has too much in it: every client gets in. */
import assert from "node:assert/strict";
import { it } from "node:test";
import WebSocket from "ws";
import { type ClientOptions, MegagateClient } from "../../src/client/client.js";
import { Client } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const addressUrl = (gateway: Gateway): string => `http://127.0.0.1:${gateway.port}/bcall/url`;

/** Some clients, and the outcome of their attempts. */
class Crowd {
  readonly clients: MegagateClient[] = [];
  refused = 0;
  turns = 0;
  begun = 0;

  come(count: number, options: Partial<ClientOptions>): void {
    for (let i = 0; i < count; i++) {
      const client = new MegagateClient({ WebSocket, baseMs: 200, ...options });
      this.clients.push(client);
      client.on("state", ({ to, code, delayMs }) => {
        if (to !== "waiting") return;
        if (code === undefined) this.turns += 1;
        else this.refused += 1;
        assert.notEqual(delayMs, undefined);
      });
      client.subscribe("t", { onState: () => this.begun++ });
    }
  }

  get open(): number {
    return this.clients.filter(({ state }) => state === "open").length;
  }

  leave(): void {
    for (const client of this.clients) client.close();
  }
}

it("clients that ask for their address get turns and tickets, and all get in at the rate of the budget", async () => {
  const CLIENTS = 200;
  const RATE = 40;
  await using gateway = await Gateway.start("--workers", "2", "--accept-rate", String(RATE));
  const crowd = new Crowd();
  try {
    const startMs = performance.now();
    crowd.come(CLIENTS, { addressUrl: addressUrl(gateway) });
    await until(
      "all are in and have their topic",
      () => [crowd.open, crowd.begun],
      ([open, begun]) => open === CLIENTS && begun === CLIENTS,
      (3 * CLIENTS * 1000) / RATE,
    );
    const seconds = (performance.now() - startMs) / 1000;
    // A bucket of one second is full at the start.
    assert.ok(seconds >= CLIENTS / RATE - 1 - 0.5, `${seconds} s: not faster than the rate`);
    const counted = (metric: string): Promise<number> =>
      until(
        metric,
        () => gateway.metric(metric),
        (n) => n > 0,
      );
    await until(
      "each refusal is counted",
      () => gateway.metric('megagate_refused_total{reason="storm"}'),
      (n) => n === crowd.refused,
    );
    assert.ok(crowd.refused >= CLIENTS / 4 && crowd.refused <= 2 * CLIENTS, `${crowd.refused} refused`);
    assert.ok(crowd.turns >= CLIENTS / 4, `${crowd.turns} turns`);
    assert.ok((await counted('megagate_tickets_total{event="given"}')) >= crowd.turns);
    assert.ok((await counted('megagate_tickets_total{event="valid"}')) > 0);
    for (const event of ["early", "expired", "forged"]) {
      await gateway.shows(`megagate_tickets_total{event="${event}"}`, 0);
    }
    assert.equal(crowd.clients.filter(({ counts }) => counts.connections !== 1).length, 0);
  } finally {
    crowd.leave();
  }
});

it("a full gateway answers a client that asks for the address when to come back", async () => {
  await using gateway = await Gateway.start("--workers", "1", "--max-connections", "3");
  const inside = await Promise.all([1, 2, 3].map(() => Client.open(gateway.url)));
  const ask = async (): Promise<{ data: string; afterMs?: number }> => {
    const answer = await fetch(addressUrl(gateway));
    assert.equal(answer.status, 200, "a front end that knows nothing of turns takes anything else for the end");
    return (await answer.json()) as { data: string; afterMs?: number };
  };
  const turn = await until("the gateway is full", ask, ({ afterMs }) => afterMs !== undefined);
  assert.ok(turn.afterMs! >= 5000 && turn.afterMs! <= 14_000 && turn.data === gateway.url, JSON.stringify(turn));
  const crowd = new Crowd();
  const delays: (number | undefined)[] = [];
  crowd.come(1, { addressUrl: addressUrl(gateway) });
  crowd.clients[0]?.on("state", ({ to, delayMs }) => {
    if (to === "waiting") delays.push(delayMs);
  });
  try {
    const [delayMs = 0] = await until(
      "it waits",
      () => delays,
      (all) => all.length > 0,
    );
    assert.ok(delayMs >= 5000 && delayMs <= 15_000, `${delayMs} ms`);
  } finally {
    crowd.leave();
    for (const { socket } of inside) socket.terminate();
  }
});

it("an address that is refused for its topics locks no client out", async () => {
  await using gateway = await Gateway.start("--workers", "1", "--max-topics-per-connection", "2");
  const client = new MegagateClient({ WebSocket, baseMs: 50, url: () => Promise.resolve(gateway.url) });
  const received: string[] = [];
  for (const topic of ["a", "b", "c"]) {
    client.subscribe(topic, {
      onState: () => received.push(topic),
      onRefused: ({ code }) => received.push(`${topic} ${code}`),
    });
  }
  try {
    await until(
      "all have received",
      () => received,
      ({ length }) => length === 3,
    );
    assert.deepEqual(received.sort(), ["a", "b", "c 4003"]);
    await until(
      "the refusal is counted",
      () => gateway.metric('megagate_refused_total{reason="bad_topic"}'),
      (n) => n === 1,
    );
  } finally {
    client.close();
  }
});

it("an address with a long query of its own and as many topics as fit is accepted", async () => {
  await using gateway = await Gateway.start("--workers", "1");
  const url = `${gateway.url}?token=${"x".repeat(300)}`;
  const client = new MegagateClient({ WebSocket, url: () => Promise.resolve(url) });
  let begun = 0;
  for (let n = 10; n < 30; n++) {
    client.subscribe(`${n}:${"x".repeat(100)}`, { snapshot: true, onState: () => begun++ });
  }
  try {
    await until(
      "all have begun",
      () => begun,
      (n) => n === 20,
    );
    assert.deepEqual([client.counts.connections, client.counts.unknown], [1, 0]);
    await until(
      "only topics that did not fit into the address were messages",
      () => gateway.metric("megagate_messages_in_total"),
      (n) => n === 20 - 8,
    );
  } finally {
    client.close();
  }
});
