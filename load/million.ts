/**
 * `megagate million`: the proof in one command. Starts a gateway of its own for the wanted connections, runs the whole
 * load against it, and stops it in an orderly way. Held means: the run held and the gateway ended with status 0.
 * Knows the gateway only as a program that it starts, like everybody else.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { addOptions } from "../src/config/help.js";
import { faultsOf } from "../src/config/options.js";
import { resolve } from "../src/config/resolve.js";
import { whole } from "../src/config/table.js";
import { GatewayError } from "../src/errors.js";
import { claim } from "../src/process/owner.js";
import { ceilingsOf } from "../sysctl/doctor/ceilings.js";
import { tightestTasks } from "../sysctl/doctor/headroom.js";
import { survey } from "../sysctl/doctor/survey.js";
import { conclude, runLoad } from "./command.js";
import { EvidenceFile } from "./evidence/file.js";
import { LOAD_OPTIONS } from "./options.js";

const { target: _target, adminUrl: _adminUrl, ...LOAD_ROWS } = LOAD_OPTIONS;

export const MILLION_OPTIONS = {
  ...LOAD_ROWS,
  connections: { ...LOAD_OPTIONS.connections, default: 1_000_000 },
  port: {
    ...whole({ default: 8080, min: 1, max: 65_535, unit: "port", explanation: "Public port of the gateway" }),
    env: "MEGAGATE_PORT",
  },
  adminPort: {
    ...whole({ default: 8081, min: 1, max: 65_535, unit: "port", explanation: "Its admin port" }),
    env: "MEGAGATE_ADMIN_PORT",
  },
} as const;

/** Of the gateway that this command starts, whatever the environment says to others. */
const LOOPBACK = "127.0.0.1";

/** Workers start two at a time on two cores: a hundred of them take about ten seconds. */
const START_MS = 120_000;

export function registerMillion(program: Command): void {
  const command = program
    .command("million")
    .description("Prove it here: start a gateway, hold a million sockets, push to all, write the evidence, stop.");
  addOptions(command, MILLION_OPTIONS).action(async (flags: Record<string, unknown>) => {
    process.exitCode = await million(flags);
  });
}

async function million(flags: Readonly<Record<string, unknown>>): Promise<number> {
  const given = { command: "million", flags, env: process.env };
  const { port, adminPort, ...rest } = resolve(MILLION_OPTIONS, given).config;
  const faults = faultsOf({ host: LOOPBACK, port, adminHost: LOOPBACK, adminPort });
  if (faults.length > 0) throw new GatewayError("config", faults.join("\n"));
  refuseWhereGroupsBound(rest);
  const place = new EvidenceFile(rest.report);
  const config = { ...rest, target: `ws://${LOOPBACK}:${port}/ws`, adminUrl: `http://${LOOPBACK}:${adminPort}` };
  const gateway = startGateway(
    [
      ...["--connections", config.connections, "--host", LOOPBACK, "--port", port],
      ...["--admin-host", LOOPBACK, "--admin-port", adminPort],
    ].map(String),
  );
  const interrupt = new Interrupt(gateway);
  let status: number;
  let ended: number | null;
  try {
    await Promise.race([ready(gateway), interrupt.asked]);
    // From here on the run has its own answer to Ctrl-C: it closes everything in order and writes its evidence.
    interrupt.armed = false;
    status = conclude(await runLoad(config), place);
  } finally {
    interrupt.armed = true;
    ended = await stop(gateway);
  }
  if (ended === 0) return status;
  process.stderr.write(`megagate: the gateway ended with status ${ended ?? "unknown"} instead of 0\n`);
  return status === 0 ? 1 : status;
}

/** Control groups end a process without a word, the gateway's before the load could refuse: so they are asked first. */
function refuseWhereGroupsBound({ connections, force }: { connections: number; force: boolean }): void {
  if (force) return;
  const plan = { connections, side: "both", listenPorts: [], sources: 0, destinations: 1, open: 0 } as const;
  const facts = survey();
  // The machine's own tasks and memory are the load's to judge: it knows its --generators and --memory-floor.
  const ofGroups = ["cgroup-memory", ...(tightestTasks(facts)?.source === "pids.max" ? ["pids"] : [])];
  const short = ceilingsOf(facts, plan).filter((row) => row.verdict === "low" && ofGroups.includes(row.limit));
  if (short.length === 0) return;
  const lines = short.flatMap((row) => [
    `not enough ${row.limit} for ${connections.toLocaleString("en-US")} connections, both ends here (${row.current}): ${row.symptom}.`,
    `${row.explanation} It holds ${(row.connections ?? 0).toLocaleString("en-US")}. Remedy:`,
    ...row.remedy,
  ]);
  throw new GatewayError("refused", lines.join("\n"));
}

/** Ctrl-C before and after the run: the gateway is told to go, if asked again at once; it never outlives the command. */
class Interrupt {
  armed = true;
  #times = 0;
  readonly asked: Promise<never>;

  constructor(gateway: ChildProcess) {
    this.asked = new Promise((_resolve, reject) => {
      const onSignal = (): void => {
        if (!this.armed) return;
        this.#times += 1;
        if (this.#times > 1) gateway.kill("SIGTERM");
        reject(new GatewayError("interrupted", "interrupted before the run; the gateway is stopping"));
      };
      process.on("SIGINT", onSignal);
      process.on("SIGTERM", onSignal);
    });
    // It may come when nobody waits any more.
    this.asked.catch(() => undefined);
  }
}

/**
 * In a process group of its own, so that Ctrl-C reaches the load alone, which then closes everything in order. Where
 * this command is killed instead, the gateway ends by itself.
 */
function startGateway(args: readonly string[]): ChildProcess {
  const gateway = spawn(process.execPath, [process.argv[1]!, "serve", ...args], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    detached: true,
  });
  claim(gateway);
  return gateway;
}

/** Resolves when the gateway has said so: one line of JSON, since its stdout is no terminal. */
function ready(gateway: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new GatewayError("failed", `the gateway did not start: ${why}`));
    const timer = setTimeout(() => fail(`not ready within ${START_MS / 1000} s`), START_MS);
    gateway.once("exit", (code) => {
      clearTimeout(timer);
      fail(`exit status ${code ?? "unknown"}, see above`);
    });
    createInterface({ input: gateway.stdout! }).on("line", (line) => {
      const { event, clients, admin, workers } = JSON.parse(line) as Readonly<Record<string, string | number>>;
      if (event !== "ready") return;
      process.stdout.write(`the gateway is ready: ${workers} workers, clients at ${clients}, private ${admin}\n`);
      clearTimeout(timer);
      resolve();
    });
  });
}

/** SIGTERM, as an operator would; its own --stop-seconds bounds it. Resolves with its exit status. */
function stop(gateway: ChildProcess): Promise<number | null> {
  if (gateway.exitCode !== null) return Promise.resolve(gateway.exitCode);
  return new Promise((resolve) => {
    gateway.once("exit", (code) => resolve(code));
    gateway.kill("SIGTERM");
  });
}
