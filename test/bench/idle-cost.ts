/**
 * What keeping idle connections costs a worker: a ping with its pong, and a heartbeat with its answer, as CPU time of the worker over
 * that of connections which do neither. Prints JSON. Clients run in a process of their own, as raw sockets.
 *
 *   node dist/test/bench/idle-cost.js [CONNECTIONS] [SECONDS]
 */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { availableParallelism, release } from "node:os";
import { fileURLToPath } from "node:url";
import { frame, HANDSHAKE } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const SELF = fileURLToPath(import.meta.url);
/** With an idle timeout of 32 s uWebSockets pings after 14 s (it checks every 4 s), and heartbeats go as often. */
const EVERY_MS = 14_000;
const HEARTBEAT = frame(1, '{"reqtype":"Heartbeat"}');
const PONG = frame(10, "");
const PING_BYTE = 0x89;

const [connections = 5000, seconds = 32] = process.argv.slice(2).map(Number);

const MODES = {
  silent: { idleSeconds: 960, heartbeats: false },
  pinged: { idleSeconds: 32, heartbeats: false },
  heartbeats: { idleSeconds: 960, heartbeats: true },
} as const;
type Mode = keyof typeof MODES;

/** The clients' process: opens sockets evenly over one interval, so that what they do is even too. */
function beClients(port: number, many: number, sendHeartbeats: boolean): void {
  const counted = { open: 0, events: 0 };
  const dial = (): void => {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    socket.write(HANDSHAKE);
    socket.once("data", () => {
      counted.open += 1;
      socket.on("data", (chunk: Buffer) => {
        counted.events += 1;
        if (chunk[0] === PING_BYTE) socket.write(PONG);
      });
      if (sendHeartbeats) setInterval(() => socket.write(HEARTBEAT), EVERY_MS);
    });
  };
  let dialled = 0;
  const began = performance.now();
  const dialling = setInterval(() => {
    const due = Math.min(many, Math.floor(((performance.now() - began) / EVERY_MS) * many));
    for (; dialled < due; dialled++) dial();
    if (dialled === many) clearInterval(dialling);
  }, 20);
  process.on("message", () => process.send?.(counted));
  process.on("disconnect", () => process.exit(0));
}

const ask = (clients: ChildProcess): Promise<{ open: number; events: number }> =>
  new Promise((resolve) => {
    clients.once("message", (message) => resolve(message as { open: number; events: number }));
    clients.send("count");
  });

/** Nanoseconds on a core, to the last one. */
const cpuMs = (pid: number): number => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;

async function measure(mode: Mode): Promise<{ cpuMs: number; events: number }> {
  const { idleSeconds, heartbeats } = MODES[mode];
  const options = ["--workers", "1", "--connections", "10000", "--idle-timeout-seconds", String(idleSeconds)];
  await using gateway = await Gateway.start(...options);
  const pid = (await gateway.processes()).find(({ role }) => role === "worker")!.pid;
  const clients = fork(SELF, ["clients", String(gateway.port), String(connections), String(heartbeats)]);
  try {
    await until(
      "all are open",
      async () => (await ask(clients)).open,
      (open) => open === connections,
      60_000,
    );
    const before = { events: (await ask(clients)).events, cpuMs: cpuMs(pid) };
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return { cpuMs: cpuMs(pid) - before.cpuMs, events: (await ask(clients)).events - before.events };
  } finally {
    clients.disconnect();
  }
}

async function main(): Promise<void> {
  const silent = await measure("silent");
  const each: Record<string, object> = {};
  for (const mode of ["pinged", "heartbeats"] as const) {
    const { cpuMs: used, events } = await measure(mode);
    const micros = ((used - silent.cpuMs) * 1000) / events;
    each[mode] = { events, workerCpuMs: Math.round(used), microsEach: Number(micros.toFixed(1)) };
  }
  const host = { kernel: release(), cores: availableParallelism(), node: process.version };
  const how = `one worker, ${connections} raw connections on loopback, ${seconds} s each; worker CPU time (schedstat) over that of as many silent connections`;
  const result = {
    schema: "megagate.idle.v1",
    startedAt: new Date().toISOString(),
    host,
    how,
    silentCpuMs: Math.round(silent.cpuMs),
    each,
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

if (process.argv[2] === "clients") {
  const [port, many, sendHeartbeats] = process.argv.slice(3);
  beClients(Number(port), Number(many), sendHeartbeats === "true");
} else {
  await main();
}
