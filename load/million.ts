/**
 * `megagate million`: the proof in one command. Starts its own gateway for --connections, runs the whole load against it,
 * and stops it in an orderly way. Exit status 0 means: the run held, and the gateway ended with status 0.
 * Runs in the coordinator process. It uses the gateway only as a program, through the command line, signals and addresses.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { portFaults } from "../src/config/faults.js";
import { addOptions } from "../src/config/help.js";
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

/** The address of this command's gateway, whatever the environment sets for other commands. */
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
  const faults = portFaults({ host: LOOPBACK, port, adminHost: LOOPBACK, adminPort, adminKeysFile: "" });
  if (faults.length > 0) throw new GatewayError("config", faults.join("\n"));
  refuseWhereGroupsBound(rest);
  const report = new EvidenceFile(rest.report);
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
    await Promise.race([ready(gateway), interrupt.requested]);
    // From here on the run itself handles Ctrl-C: it closes everything in order and writes its evidence.
    interrupt.armed = false;
    status = conclude(await runLoad(config), report);
  } finally {
    interrupt.armed = true;
    ended = await stop(gateway);
  }
  if (ended === 0) return status;
  process.stderr.write(`megagate: the gateway ended with status ${ended ?? "unknown"} instead of 0\n`);
  return status === 0 ? 1 : status;
}

/** At a control group's limit the kernel kills without an error, perhaps the gateway before the load refuses: so it is checked first. */
function refuseWhereGroupsBound({ connections, force }: { connections: number; force: boolean }): void {
  if (force) return;
  const plan = { connections, side: "both", listenPorts: [], sources: 0, destinations: 1, open: 0 } as const;
  const facts = survey();
  // The machine's own tasks and memory are checked by the load's plan, which knows --generators and --memory-floor.
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

/** Ctrl-C before and after the run: the first one stops the gateway in order, the second at once; it never outlives the command. */
class Interrupt {
  armed = true;
  #times = 0;
  readonly requested: Promise<never>;

  constructor(gateway: ChildProcess) {
    this.requested = new Promise((_resolve, reject) => {
      const onSignal = (): void => {
        if (!this.armed) return;
        this.#times += 1;
        if (this.#times > 1) gateway.kill("SIGTERM");
        reject(new GatewayError("interrupted", "interrupted before the run; the gateway is stopping"));
      };
      process.on("SIGINT", onSignal);
      process.on("SIGTERM", onSignal);
    });
    // It may be rejected when nothing awaits it any more.
    this.requested.catch(() => undefined);
  }
}

/**
 * In its own process group, so that Ctrl-C reaches only the load, which then closes everything in order. If this command is
 * killed, the gateway ends by itself.
 */
function startGateway(args: readonly string[]): ChildProcess {
  const gateway = spawn(process.execPath, [process.argv[1]!, "serve", ...args], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    detached: true,
  });
  claim(gateway);
  return gateway;
}

/** Resolves when the gateway has printed its `ready` event: one line of JSON, because its stdout is not a terminal. */
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
