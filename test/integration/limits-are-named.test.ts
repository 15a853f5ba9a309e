/**
 * A gateway names the limit that stops it: a limit that is hit is logged with its numbers and the remedy, and counted; known
 * ceilings and the headroom below them are metrics. Runs in a network namespace of its own where that is allowed, because the
 * kernel's counters are for a whole namespace.
 */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { enterNewNamespace } from "../../sysctl/prove/namespace.js";
import { Client } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

try {
  enterNewNamespace();
} catch {
  // Without root, drops of other programs count too; the test still proves that a drop is named.
}

const EVENTS = 'megagate_limit_events_total{limit="accept-queue"}';

describe("limits are named", () => {
  it("names the accept queue when it overflows, once, and counts it", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--backlog", "1", "--log-format", "json");
    const logged = (): string[] => gateway.run.stderr.split("\n").filter((line) => line.includes('"accept-queue"'));
    await until(
      "the limits are known",
      () => gateway.metric(EVENTS).catch(() => Number.NaN),
      (n) => n === 0,
    );
    assert.deepEqual(logged(), []);
    const worker = (await gateway.processes()).find(({ role }) => role === "worker")!;
    const sockets: Socket[] = [];
    process.kill(worker.pid, "SIGSTOP");
    try {
      for (let i = 0; i < 20; i++) sockets.push(connect(gateway.port, "127.0.0.1").on("error", () => undefined));
      await until(
        "counted",
        () => gateway.metric(EVENTS),
        (n) => n >= 2,
      );
    } finally {
      for (const socket of sockets) socket.destroy();
      process.kill(worker.pid, "SIGCONT");
    }
    const [line = "", ...more] = logged();
    const entry = JSON.parse(line) as { level: string; msg: string; limit: string };
    assert.deepEqual([entry.level, entry.limit, more.length], ["warn", "accept-queue", 0]);
    assert.match(
      entry.msg,
      /^the accept queue overflowed: .*listen drops [1-9]\d*.*; remedy: raise net\.core\.somaxconn/,
    );
  });

  it("names the limit behind the workers' cap while clients are refused", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--worker-connections", "2");
    const clients = [await Client.open(gateway.url), await Client.open(gateway.url)];
    const named = 'megagate_limit_events_total{limit="worker-connections"}';
    const refused = async (): Promise<number> => {
      await Client.open(gateway.url).catch(() => undefined);
      return await gateway.metric(named).catch(() => 0);
    };
    await until("counted", refused, (n) => n > 0);
    assert.match(
      gateway.run.stderr,
      /at the cap that it was given .*; remedy: start it with a higher --worker-connections/,
    );
    await Promise.all(clients.map((client) => client.end()));
  });

  it("shows each known ceiling, and how many more connections it allows at this moment", async () => {
    await using gateway = await Gateway.start("--workers", "2", "--worker-connections", "100");
    await gateway.shows('megagate_ceiling_connections{limit="worker-caps"}', 200);
    await until(
      "the machine is surveyed",
      () => gateway.metric('megagate_ceiling_connections{limit="memory"}').catch(() => 0),
      (n) => n > 0,
    );
    const clients = await Promise.all(Array.from({ length: 20 }, () => Client.open(gateway.url)));
    await until(
      "headroom follows",
      () => gateway.metric('megagate_headroom_connections{limit="worker-caps"}'),
      (n) => n === 180,
    );
    const scrape = await (await gateway.admin("/metrics")).text();
    const [, ceiling, headroom] =
      /ceiling_connections\{limit="memory"\} (\d+)[\s\S]*headroom_connections\{limit="memory"\} (\d+)/.exec(scrape) ??
      [];
    assert.equal(Number(headroom), Number(ceiling) - 20);
    assert.doesNotMatch(
      scrape,
      /megagate_(ceiling|headroom)_connections\{limit="(accept-queue|ports|client-descriptors)"\}/,
    );
    await Promise.all(clients.map((client) => client.end()));
  });

  it("gives a new hub process the ceilings that the former one knew", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const surveyed = () => gateway.metric('megagate_ceiling_connections{limit="memory"}').catch(() => 0);
    await until("surveyed", surveyed, (n) => n > 0);
    const hub = (await gateway.processes()).find(({ role }) => role === "hub")!;
    process.kill(hub.pid, "SIGKILL");
    await until(
      "another hub",
      async () => (await gateway.processes().catch(() => [])).find(({ role }) => role === "hub")?.pid ?? hub.pid,
      (pid) => pid !== hub.pid,
      20_000,
    );
    await until("surveyed again", surveyed, (n) => n > 0);
  });
});
