/**
 * The `serve` command: a supervisor from start to stop, its banner on stdout (for a program, one line of JSON), and its
 * signals: SIGTERM and SIGINT end it, SIGHUP reads the keys of the admin port again and replaces the workers. A gateway that another command started ends with that
 * command (owner.ts).
 */
import { closeSync, openSync } from "node:fs";
import { isAuthenticated } from "../config/faults.js";
import { isLoopback, urlHost } from "../config/host-address.js";
import type { ServeConfig } from "../config/options.js";
import { type Log, stderrLog } from "../log.js";
import { VERSION } from "../platform.js";
import { whenOwnerIsGone } from "../process/owner.js";
import { Supervisor } from "../process/supervisor.js";
import { ADDRESS_PATH, WEBSOCKET_PATH } from "../protocol/messages.js";
import { SignalRequests } from "../signals.js";
import { AuthFiles } from "../supervision/auth-files.js";
import type { KnownCeiling, MachineProbe } from "../supervision/machine-monitor.js";
import { LIMITS, type Sizing, sizeGateway } from "../supervision/sizing.js";

export interface Start {
  readonly config: ServeConfig;
  readonly machine: MachineProbe;
  /** The first lines of the log: variables that were ignored. */
  readonly notices: readonly string[];
}

/** Resolves with the exit status when the gateway has stopped. */
export async function serve({ config, machine, notices }: Start): Promise<number> {
  const log = await stderrLog(config.logLevel, config.logFormat);
  for (const notice of notices) log("warn", notice);
  const authFiles = new AuthFiles(config, log);
  const sizing = await sizeGateway(config, machine);
  const supervisor = new Supervisor({ config, sizing, log, machine, authFiles });
  const stopped = onSignals(supervisor, log);
  logCapacity({ config, sizing, first: machine.first, log });
  try {
    const ready = supervisor.start().then((addresses) => announce(config, sizing.workers, addresses));
    await Promise.race([ready, stopped]);
  } catch (error) {
    supervisor.kill();
    throw error;
  }
  return await stopped;
}

interface Capacity {
  readonly config: ServeConfig;
  readonly sizing: Sizing;
  readonly first: KnownCeiling | undefined;
  readonly log: Log;
}

/** How many connections there is room for, and which limit decides it: the caps of the workers, then the machine. */
function logCapacity({ config, sizing, first, log }: Capacity): void {
  const { workers, nofile, cap } = sizing;
  const max = cap.connections;
  log("info", "starting", { version: VERSION, workers, nofile, mostConnections: max, limit: cap.limit });
  if (max < config.connections) {
    log("warn", `room for ${max} connections, not ${config.connections}: ${LIMITS[cap.limit](nofile)} decides it`);
  }
  if (!isLoopback(config.host) && !isAuthenticated(config)) {
    log("warn", `--allow-anonymous: everybody who reaches ${config.host} may follow every topic`);
  }
  if (!first) return;
  const { limit, connections } = first;
  const short = connections < config.connections;
  const message = short ? "this machine will not hold that many: see `megagate doctor`" : "first ceiling";
  log(short ? "warn" : "info", message, { limit, connections });
}

function announce(
  config: ServeConfig,
  workers: number,
  { port, adminPort }: { port: number; adminPort: number },
): void {
  const clients = `ws://${urlHost(config.host)}:${port}${WEBSOCKET_PATH}`;
  const admin = `http://${config.adminHost}:${adminPort}`;
  const page = config.dev ? `http://${urlHost(config.host)}:${port}/` : undefined;
  const banner = [
    `megagate ${VERSION} is ready: ${workers} workers`,
    ...(page ? [`  page      ${page}   (the example: open it in a browser)`] : []),
    `  clients   ${clients}   (address for browsers: http://${urlHost(config.host)}:${port}${ADDRESS_PATH})`,
    `  private   ${admin}   /publish /metrics /healthz /readyz /processes`,
  ];
  const line = JSON.stringify({ event: "ready", clients, admin, workers, page });
  process.stdout.write(`${process.stdout.isTTY ? banner.join("\n") : line}\n`);
}

function onSignals(supervisor: Supervisor, log: Log): Promise<number> {
  return new Promise((resolve) => {
    const signals = new SignalRequests();
    let asked = false;
    const stop = (signal?: NodeJS.Signals): void => {
      const request = signals.received();
      if (request === "same") return;
      if (request === "another") {
        log("warn", "asked twice: stopping at once", { signal });
        supervisor.kill();
        resolve(130);
        return;
      }
      asked = true;
      log("info", "stopping: clients are sent away and come back later", { signal });
      void supervisor.stop().then(() => {
        const { notSaved } = supervisor;
        if (notSaved === "") log("info", "stopped");
        else log("error", `stopped; what topics remember is not in --state-dir: ${notSaved}`);
        resolve(notSaved === "" ? 0 : 1);
      });
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    whenOwnerIsGone(() => {
      if (asked) return;
      log("warn", "the command that started this gateway is gone");
      stop();
    });
    const began = hasTerminal();
    const rolls = new SignalRequests();
    process.on("SIGHUP", () => {
      // A terminal that is closed hangs up too: then nobody asked for new workers.
      if (!began || hasTerminal()) {
        if (rolls.received() === "same") return;
        supervisor.reloadKeys();
        supervisor.restartWorkers("SIGHUP");
        return;
      }
      if (!asked) log("warn", TERMINAL_CLOSED, { signal: "SIGHUP" });
      stop("SIGHUP");
    });
  });
}

/** Node takes back the ignoring of signals with which nohup starts it. */
const TERMINAL_CLOSED =
  "the terminal is closed, and its gateway ends with it; nohup does not change that: start it with setsid, or as a service";

function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
