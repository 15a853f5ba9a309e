/**
 * `megagate serve`: decides the number of workers, forks hub and workers, restarts what dies, stops all in order.
 * Holds no state and serves nothing, so that it has no reason to fail.
 *
 *   supervisor ──control──► hub process (admin port)
 *       └──────control──► worker 1 … worker W (all on the public port)     hub ◄─unix socket─► workers
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { isNews, priorRate, returnWindowMs } from "../admission/budget.js";
import { type Ceiling, capOf, ceilingOf, memoryBytes } from "../admission/ceiling.js";
import { fullestWorker, workerCap, workersFor } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import { GatewayError } from "../errors.js";
import type { Log } from "../log.js";
import { Child } from "./children.js";
import { raiseNofile } from "./limits.js";
import type { FromChild, StartHub, StartWorker } from "./messages.js";
import { findPort } from "./ports.js";

/** Longest path of a unix socket, less the file name. */
const MAX_RUN_DIR_BYTES = 85;

/** Deaths of one child before it was ever ready, at which the start is given up. */
const START_TRIES = 4;

export interface Plan {
  readonly workers: number;
  /** The most connections of all workers, and what sets it. */
  readonly ceiling: Ceiling;
  readonly nofile: number;
}

/** How many workers, and how much each may hold. Throws `config` when the wish cannot be met. */
export async function makePlan(config: ServeConfig): Promise<Plan> {
  const cores = availableParallelism();
  const wanted = config.workers || cores;
  const enough = fullestWorker(config.connections, wanted) + 100;
  const { soft: nofile } = await raiseNofile(enough);
  const workers = config.workers || workersFor(config.connections, cores, nofile);
  const most = workerCap(nofile);
  if (config.workerConnections > most) {
    throw new GatewayError(
      "config",
      `--worker-connections: a worker can hold ${most} connections under the descriptor limit of ${nofile}, not ${config.workerConnections}`,
    );
  }
  if (config.workers > 0 && config.workerConnections === 0 && fullestWorker(config.connections, workers) > most) {
    const needed = workersFor(config.connections, cores, nofile);
    throw new GatewayError(
      "config",
      `--workers: ${config.connections} connections need at least ${needed} workers under the descriptor limit of ${nofile} a process; leave --workers out to have them computed`,
    );
  }
  const limits = { ...config, workers, workerCap: config.workerConnections || most };
  return { workers, ceiling: ceilingOf(limits, memoryBytes()), nofile };
}

export interface Addresses {
  readonly port: number;
  readonly adminPort: number;
}

export class Supervisor {
  readonly #hub: Child;
  readonly #workers: Child[];
  readonly #full = new Set<number>();
  readonly #runDir: string;
  readonly #ownsRunDir: boolean;
  #port: number;
  #adminPort: number;
  #overflow = false;
  #settledDeaths = 0;
  readonly #ticketKey = randomBytes(32).toString("hex");
  /** The storm budget as the workers know it: measured by the hub, until then assumed. */
  #budget: { readonly rate: number; readonly windowMs: number };
  #stopping: Promise<void> | undefined;
  #onFatal: ((error: GatewayError) => void) | undefined;
  #onReady: (() => void) | undefined;

  constructor(
    private readonly config: ServeConfig,
    private readonly plan: Plan,
    private readonly log: Log,
  ) {
    this.#port = config.port;
    this.#adminPort = config.adminPort;
    const rate = config.acceptRate || priorRate(availableParallelism());
    this.#budget = { rate, windowMs: returnWindowMs(config.connections, rate) };
    this.#ownsRunDir = config.runDir === "";
    this.#runDir = this.#ownsRunDir ? mkdtempSync(join(tmpdir(), "megagate-")) : config.runDir;
    if (Buffer.byteLength(this.#runDir) > MAX_RUN_DIR_BYTES) {
      throw new GatewayError(
        "config",
        `--run-dir: at most ${MAX_RUN_DIR_BYTES} bytes long, or the kernel refuses the socket in it`,
      );
    }
    mkdirSync(this.#runDir, { recursive: true, mode: 0o700 });
    const hubOptions = { name: "hub", entry: "./hub.js", startMessage: () => this.#startHub() };
    this.#hub = this.#child(hubOptions, (message) => {
      if (message.type === "settled") this.#settledDeaths = message.deaths;
      else if (message.type === "measured") this.#measured(message.rate, message.connections);
    });
    this.#workers = Array.from({ length: plan.workers }, (_, index) => this.#worker(index));
  }

  /** Resolves when everybody listens. Throws what the user can mend. */
  async start(): Promise<Addresses> {
    this.#port = await findPort("public", this.config.host, this.config.port);
    this.#adminPort = await findPort("admin", this.config.adminHost, this.config.adminPort);
    this.#hub.start();
    await this.#until(() => this.#hub.ready);
    for (const worker of this.#workers) worker.start();
    await this.#until(() => this.#workers.every((worker) => worker.ready));
    this.#onFatal = undefined;
    return { port: this.#port, adminPort: this.#adminPort };
  }

  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onFatal = reject;
      this.#onReady = () => {
        if (done()) resolve();
      };
      this.#onReady();
    });
  }

  #child(
    options: { name: string; entry: string; startMessage: () => StartHub | StartWorker },
    onMessage: (message: FromChild) => void,
    onDied: (pid: number, restarts: number) => void = () => undefined,
  ): Child {
    return new Child({
      ...options,
      log: this.log,
      onDied: (pid, restarts) => {
        onDied(pid, restarts);
        // Heard only while starting: a gateway that has run keeps trying.
        if (restarts === START_TRIES) {
          this.#onFatal?.(
            new GatewayError("failed", `${options.name} died ${restarts} times while starting; the log above says why`),
          );
        }
      },
      onMessage: (message) => {
        if (message.type === "log") this.log(message.level, message.message, message.fields);
        else if (message.type === "fatal") this.#onFatal?.(new GatewayError(message.kind, message.detail));
        else onMessage(message);
        if (message.type === "ready") this.#onReady?.();
      },
    });
  }

  #worker(index: number): Child {
    const options = { name: `worker ${index}`, entry: "./worker.js", startMessage: () => this.#startWorker(index) };
    return this.#child(
      options,
      (message) => this.#fromWorker(index, message),
      (pid) => {
        this.#setFull(index, false);
        this.#hub.tell({ type: "workerDied", worker: index, pid, restarts: this.#workerRestarts });
      },
    );
  }

  get #workerRestarts(): number {
    return this.#workers.reduce((sum, worker) => sum + worker.restarts, 0);
  }

  #startHub(): StartHub {
    const { workers } = this.plan;
    const restarts = this.#workerRestarts;
    const allLived = restarts === this.#settledDeaths;
    // A restarted hub keeps the port that the first one was given.
    const config = { ...this.config, adminPort: this.#adminPort };
    const rebuild = this.#hub.restarts > 0;
    const { rate } = this.#budget;
    return { type: "startHub", config, path: this.#socketPath, workers, restarts, rebuild, allLived, rate };
  }

  #startWorker(index: number): StartWorker {
    const { workers, ceiling, nofile } = this.plan;
    return {
      type: "startWorker",
      config: this.config,
      path: this.#socketPath,
      index,
      port: this.#port,
      workers,
      cap: capOf(ceiling, workers, index),
      capReason: ceiling.reason,
      nofile,
      ...this.#budget,
      ticketKey: this.#ticketKey,
    };
  }

  /** What the hub measured becomes the workers' budget when it differs enough. */
  #measured(rate: number, connections: number): void {
    const windowMs = returnWindowMs(connections, rate);
    if (!isNews(this.#budget.rate, rate) && !isNews(this.#budget.windowMs, windowMs)) return;
    this.#budget = { rate, windowMs };
    for (const worker of this.#workers) worker.tell({ type: "budget", rate, windowMs });
  }

  get #socketPath(): string {
    return join(this.#runDir, `hub-${process.pid}.sock`);
  }

  #fromWorker(index: number, message: FromChild): void {
    if (message.type === "ready" && this.#overflow) this.#workers[index]!.tell({ type: "overflow", on: true });
    else if (message.type === "full") this.#setFull(index, message.full);
  }

  /** When every worker is at its cap they listen again, a little beyond it, to say so. */
  #setFull(index: number, full: boolean): void {
    if (full) this.#full.add(index);
    else this.#full.delete(index);
    const overflow = this.#full.size === this.plan.workers;
    if (overflow === this.#overflow) return;
    this.#overflow = overflow;
    this.log("warn", overflow ? "every worker is at its cap; new clients get 503" : "there is room again");
    for (const worker of this.#workers) worker.tell({ type: "overflow", on: overflow });
  }

  /** Everybody is told to go, then workers and hub end. Bounded by `stopSeconds`; asked twice, it is the same stop. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    this.#hub.tell({ type: "notReady" });
    const deadlineMs = this.config.stopSeconds * 1000;
    const cut = await Promise.all(this.#workers.map((worker) => worker.stop(deadlineMs)));
    const late = cut.filter(Boolean).length;
    if (late > 0)
      this.log("warn", "workers were not done within --stop-seconds; their clients were cut", { workers: late });
    await this.#hub.stop(deadlineMs);
    this.#clean();
  }

  /** At once, without farewell. */
  kill(): void {
    for (const child of [...this.#workers, this.#hub]) child.kill();
    this.#clean();
  }

  #clean(): void {
    rmSync(this.#ownsRunDir ? this.#runDir : this.#socketPath, { recursive: true, force: true });
  }
}
