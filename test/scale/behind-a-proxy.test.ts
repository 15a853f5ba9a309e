/**
 * 1,000 clients through nginx and 1,000 through HAProxy, each with the file that we ship: they are silent for longer than a
 * proxy's 60 s, go through a rolling restart and a stop, and lose nothing; HAProxy sees the gateway leave before it has left,
 * and both send clients to it again when it is back.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import WebSocket from "ws";
import { MegagateClient } from "../../src/client/client.js";
import { Gateway } from "../support/gateway.js";
import { needsPrograms } from "../support/needs.js";
import { freePort, PROXIES, ProxyServer } from "../support/proxies.js";
import { until } from "../support/wait.js";

const CLIENTS_EACH = 1000;
const SILENT_MS = 70_000;
const NOTICE_SECONDS = 3;
const TOPIC = "proxied";
/** So long is no heartbeat of theirs: whatever keeps the connection is the gateway's ping. */
const NEVER_MS = 3_600_000;

const skip = needsPrograms(...PROXIES);

/** What one client has lived through. */
class Follower {
  readonly client: MegagateClient;
  readonly pushes: unknown[] = [];
  faults = 0;
  goodbyes = 0;

  constructor(proxy: ProxyServer) {
    this.client = new MegagateClient({
      addressUrl: `http://127.0.0.1:${proxy.port}/bcall/url`,
      WebSocket,
      heartbeatMs: NEVER_MS,
      capMs: 3000,
    });
    this.client.on("goodbye", () => {
      this.goodbyes += 1;
    });
    this.client.subscribe(TOPIC, {
      onPush: ({ data }) => this.pushes.push(data),
      onGap: () => this.#fault(),
      onReset: () => this.#fault(),
      onRefused: () => this.#fault(),
    });
  }

  #fault(): void {
    this.faults += 1;
  }
}

it("through nginx and HAProxy: silent for 70 s, drained, stopped and back, 0 lost", {
  skip,
  timeout: 240_000,
}, async (t) => {
  const [port, adminPort] = [await freePort(), await freePort()];
  const start = (): Promise<Gateway> =>
    Gateway.start(
      ...["--port", String(port), "--admin-port", String(adminPort), "--workers", "2", "--connections", "5000"],
      ...["--trusted-proxies", "127.0.0.1", "--stop-notice-seconds", String(NOTICE_SECONDS), "--stop-seconds", "20"],
    );
  await using before = await start();
  await using nginx = await ProxyServer.start("nginx", before);
  await using haproxy = await ProxyServer.start("haproxy", before);
  const followers: Follower[] = [];
  const count = (is: (one: Follower) => boolean): number => followers.filter(is).length;
  const all = (what: string, is: (one: Follower) => boolean, ms = 30_000): Promise<number> =>
    until(
      what,
      () => count(is),
      (n) => n === followers.length,
      ms,
    );
  const open = (what: string): Promise<number> => all(what, ({ client }) => client.state === "open", 60_000);
  const allReceived = (data: unknown): Promise<number> =>
    all(`received ${String(data)}`, ({ pushes }) => pushes.at(-1) === data);

  for (const proxy of [nginx, haproxy]) {
    for (let n = 0; n < CLIENTS_EACH; n++) {
      followers.push(new Follower(proxy));
      if (n % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  try {
    await open("all are connected");
    await before.publish(TOPIC, "begin");
    await allReceived("begin");
    await new Promise((resolve) => setTimeout(resolve, SILENT_MS));
    assert.equal(
      count(({ client }) => client.state === "open" && client.counts.connections === 1),
      2 * CLIENTS_EACH,
      "silent for 70 s",
    );
    await before.shows("megagate_connections", 2 * CLIENTS_EACH);
    await before.publish(TOPIC, "silent");
    await allReceived("silent");

    assert.equal((await before.admin("/restart-workers", { method: "POST" })).status, 202);
    let published = 0;
    const rolled = async (): Promise<string> => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await before.publish(TOPIC, ++published);
      return ((await (await before.admin("/restart-workers")).json()) as { state: string }).state;
    };
    await until("every worker is replaced", rolled, (state) => state === "done", 60_000);
    await open("all are back after the restart");
    await before.publish(TOPIC, "restarted");
    await allReceived("restarted");
    const expected = ["begin", "silent", ...Array.from({ length: published }, (_, n) => n + 1), "restarted"];
    for (const { pushes } of followers) assert.deepEqual(pushes, expected);
    assert.equal(
      count(({ goodbyes }) => goodbyes >= 1),
      2 * CLIENTS_EACH,
      "all got a goodbye",
    );
    assert.equal(
      count(({ faults }) => faults > 0),
      0,
      "and lost nothing",
    );

    const stopped = before.stop();
    await until(
      "HAProxy sends nobody any more",
      () => haproxy.status("/healthz"),
      (status) => status === 503,
    );
    const live = await fetch(`http://127.0.0.1:${port}/healthz`);
    assert.equal(live.status, 200, "while the gateway still takes clients");
    assert.equal((await stopped).code, 0);
    const away = await nginx.fetch("/bcall/url");
    assert.deepEqual([away.status, away.headers.get("Retry-After")], [503, "5"]);
    const notified = count(({ goodbyes }) => goodbyes >= 2);
    assert.equal(notified, 2 * CLIENTS_EACH, "all got a goodbye before the stop");
  } catch (error) {
    for (const { client } of followers) client.close();
    throw error;
  }
  await using after = await start();
  try {
    for (const proxy of [nginx, haproxy]) {
      await until(
        `${proxy.name} sends clients again`,
        () => proxy.status("/healthz"),
        (status) => status === 200,
      );
    }
    await open("all are back after the stop");
    await after.publish(TOPIC, "again");
    await allReceived("again");
    t.diagnostic(
      `${followers.length} clients, ${followers.reduce((sum, { client }) => sum + client.counts.connections, 0)} connections`,
    );
  } finally {
    for (const { client } of followers) client.close();
  }
});
