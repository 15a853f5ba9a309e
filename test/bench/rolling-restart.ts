/**
 * A rolling restart at size: so many clients of the SDK, a hundred to a topic, publications all the while, every worker
 * replaced. Prints what was seen as JSON; exit status 1 if anything was lost, came twice, or was reset.
 *
 *   node dist/test/bench/rolling-restart.js [CLIENTS] [WORKERS] [PUBLICATIONS A SECOND]
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { cli, Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";
import type { HoldOrder, Seen } from "./holder.js";

const CLIENTS_EACH = 5000;
const LIMIT_MS = 120_000;

const [clients = 20_000, workers = 4, perSecond = 100] = process.argv.slice(2).map(Number);

function hold(order: HoldOrder): ChildProcess {
  const holder = fork(fileURLToPath(new URL("./holder.js", import.meta.url)), [], {
    execArgv: ["--max-semi-space-size=16"],
  });
  holder.send(order);
  return holder;
}

const report = (holder: ChildProcess): Promise<Seen> =>
  new Promise((resolve) => {
    holder.once("message", (message) => resolve(message as Seen));
    holder.send("report");
  });

function add(all: readonly Seen[]): Seen {
  const sum = (of: (one: Seen) => number): number => all.reduce((n, one) => n + of(one), 0);
  const merge = (of: (one: Seen) => Readonly<Record<string, number>>): Record<string, number> => {
    const merged: Record<string, number> = {};
    for (const [key, n] of all.flatMap((one) => Object.entries(of(one)))) merged[key] = (merged[key] ?? 0) + n;
    return merged;
  };
  return {
    open: sum((one) => one.open),
    pushes: sum((one) => one.pushes),
    faults: sum((one) => one.faults),
    resets: sum((one) => one.resets),
    codes: merge((one) => one.codes),
    goodbyes: sum((one) => one.goodbyes),
    worstAwayMs: Math.round(Math.max(...all.map((one) => one.worstAwayMs))),
    awayMs: Math.round(sum((one) => one.awayMs)),
    errors: merge((one) => one.errors),
  };
}

async function publishAll(gateway: Gateway, end: AbortSignal): Promise<number> {
  const topics = Math.ceil(clients / 100);
  let published = 0;
  for (const startMs = performance.now(); !end.aborted; ) {
    const due = Math.floor(((performance.now() - startMs) / 1000) * perSecond);
    for (; published < due; published++) await gateway.publish(`t:${published % topics}`, published);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return published;
}

async function fullestWorker(gateway: Gateway, end: AbortSignal): Promise<number> {
  let fullest = 0;
  while (!end.aborted) {
    const rows = await gateway.processes();
    fullest = Math.max(fullest, ...rows.map((row) => (row.role === "worker" ? (row.connections ?? 0) : 0)));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return fullest;
}

const gateway = await Gateway.start("--workers", String(workers), "--connections", String(clients));
const holders: ChildProcess[] = [];
try {
  for (let first = 0; first < clients; first += CLIENTS_EACH) {
    const address = `127.0.1.${holders.length + 1}`;
    holders.push(hold({ url: gateway.url, clients: Math.min(CLIENTS_EACH, clients - first), first, address }));
  }
  const all = async (): Promise<Seen> => add(await Promise.all(holders.map(report)));
  await until("all open", all, ({ open }) => open === clients, LIMIT_MS);
  const plan = await cli(["drain", "--plan", "--admin-url", `http://127.0.0.1:${gateway.adminPort}`]).ended;
  process.stderr.write(plan.stdout);
  const before = await all();
  const end = new AbortController();
  const publishing = publishAll(gateway, end.signal);
  const watching = fullestWorker(gateway, end.signal);
  const startMs = performance.now();
  const roll = await cli(["restart-workers", "--admin-url", `http://127.0.0.1:${gateway.adminPort}`]).ended;
  const rollSeconds = (performance.now() - startMs) / 1000;
  process.stderr.write(roll.stdout + roll.stderr);
  await until("all open again", all, ({ open }) => open === clients, LIMIT_MS);
  const settledSeconds = (performance.now() - startMs) / 1000;
  end.abort();
  const [published, fullest] = await Promise.all([publishing, watching]);
  const expected = published * 100;
  const after = await until("all pushes have come", all, ({ pushes }) => pushes >= expected, 30_000).catch(all);
  const moved = Object.values(after.codes).reduce((n, count) => n + count, 0);
  const lost = expected - after.pushes;
  const result = {
    clients,
    workers,
    roll: roll.code,
    rollSeconds: Number(rollSeconds.toFixed(1)),
    settledSeconds: Number(settledSeconds.toFixed(1)),
    published,
    lost,
    fullest,
    moved,
    meanAwayMs: Math.round(after.awayMs / Math.max(1, moved)),
    ...after,
    restarts: await gateway.metric("megagate_worker_restarts_total"),
    errorsBefore: before.errors,
  };
  process.stdout.write(`${JSON.stringify(result, null, 1)}\n`);
  if (roll.code !== 0 || lost !== 0 || after.faults > 0 || after.resets > 0) process.exitCode = 1;
} finally {
  for (const holder of holders) holder.disconnect();
  const stopMs = performance.now();
  const exit = await gateway.stop();
  process.stderr.write(
    `gateway stopped with ${exit.code ?? exit.signal} in ${Math.round(performance.now() - stopMs)} ms\n`,
  );
}
