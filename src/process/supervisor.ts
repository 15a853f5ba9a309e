/**
 * `megagate serve`: forks hub and workers, restarts what dies, replaces workers one by one when asked to, stops all in
 * order. Keeps no topics and serves no clients, so that little can make it fail.
 *
 *   supervisor ──control──► hub process (admin port)
 *       └──────control──► worker 1 … worker W (all on the public port)     hub ◄─unix socket─► workers
 */
import { randomBytes } from "node:crypto";
import { isNews, priorRate, returnRate, returnWindowMs } from "../admission/budget.js";
import { capOfSlot } from "../admission/ceiling.js";
import { overflowRoom } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import type { DrainOptions } from "../drain/goodbye.js";
import { goodbyesWithinMs } from "../drain/goodbye.js";
import { GatewayError } from "../errors.js";
import type { WalState } from "../hub/wal/wal.js";
import type { Log } from "../log.js";
import type { AuthFiles } from "../supervision/auth-files.js";
import { Child, FIRST_DESCRIPTOR } from "../supervision/child-process.js";
import type { ChildReport, Load, StartHub, StartWorker } from "../supervision/control-channel.js";
import { KeyFile } from "../supervision/key-file.js";
import { Liveness, type NamedChild } from "../supervision/liveness.js";
import { type OpenLogFile, openLogFiles } from "../supervision/log-files.js";
import { MachineMonitor, type MachineProbe } from "../supervision/machine-monitor.js";
import { PortClaims } from "../supervision/port-claims.js";
import { RollingRestart } from "../supervision/rolling-restart.js";
import { RunDir } from "../supervision/run-dir.js";
import type { Sizing } from "../supervision/sizing.js";
import { stopDeadline } from "../supervision/stop-deadline.js";
import { WorkerPool } from "../supervision/worker-pool.js";

/** Deaths of one child before it was ever ready, at which the start is given up. */
const START_TRIES = 4;

/** How long a stop waits for the hub to report that `/readyz` answers 503; a busy hub must not hold up the stop. */
const UNREADY_MS = 500;

/** The hub reports its load once a second: an older report than this says nothing about now. */
const LOAD_STALE_MS = 5000;

export interface Addresses {
  readonly port: number;
  readonly adminPort: number;
}

export interface SupervisorOptions {
  readonly config: ServeConfig;
  readonly sizing: Sizing;
  readonly log: Log;
  readonly machine: MachineProbe;
  readonly authFiles: Pick<AuthFiles, "keys" | "reload">;
}

export class Supervisor {
  readonly #config: ServeConfig;
  readonly #sizing: Sizing;
  readonly #authFiles: SupervisorOptions["authFiles"];
  readonly #log: Log;
  readonly #hub: Child;
  readonly #pool: WorkerPool;
  readonly #monitor: MachineMonitor;
  readonly #liveness: Liveness;
  readonly #roller: RollingRestart;
  readonly #runDir: RunDir;
  readonly #ports = new PortClaims();
  readonly #keyFile: KeyFile | undefined;
  #port: number;
  #adminPort: number;
  readonly #ticketKey = randomBytes(32).toString("hex");
  /** The handshake rate and window last sent to the workers: an assumption at first, then what the hub measures. */
  #budget: { readonly rate: number; readonly windowMs: number };
  #started = false;
  #logFiles: readonly OpenLogFile[] = [];
  /** False once the hub had nowhere to write its log: offsets may have been sent that no file holds. */
  #isLogWhole = true;
  /** Why the memory of topics will not survive a restart of the gateway, or did not; "" where it will. */
  #notSaved = "";
  /** Why there is no file in --state-dir at all. */
  #noDisk = "";
  #load: Load | undefined;
  #loadMs = 0;
  #stopping: Promise<void> | undefined;
  /** --stop-notice-seconds, while they last. */
  #notice: NodeJS.Timeout | undefined;
  #onFatal: ((error: GatewayError) => void) | undefined;
  #onReady: (() => void) | undefined;

  constructor({ config, sizing, log, machine, authFiles }: SupervisorOptions) {
    this.#config = config;
    this.#sizing = sizing;
    this.#log = log;
    this.#authFiles = authFiles;
    this.#port = config.port;
    this.#adminPort = config.adminPort;
    const rate = config.acceptRate || priorRate(machine.cpus);
    this.#budget = { rate, windowMs: returnWindowMs(0, rate) };
    this.#runDir = new RunDir(config.runDir);
    this.#keyFile = this.#createKeyFile();
    this.#monitor = new MachineMonitor(machine, log, (news) => this.#hub.send(news));
    this.#hub = this.#createHub();
    this.#liveness = new Liveness({
      log,
      hungSeconds: config.hungSeconds,
      children: () => this.#children(),
      sendToHub: (news) => this.#hub.send(news),
    });
    this.#roller = new RollingRestart({
      log,
      stopSeconds: config.stopSeconds,
      returnRate: () => returnRate(this.#budget.rate),
      load: () => (performance.now() - this.#loadMs < LOAD_STALE_MS ? this.#load : undefined),
      stopping: () => this.#stopping !== undefined,
      onProgress: (roll) => this.#hub.send({ type: "roll", roll }),
    });
    this.#pool = new WorkerPool({
      log,
      startMessage: (slot) => this.#startWorker(slot),
      onMessage: (message) => this.#onMessage(message),
      onEarlyDeath: (name, deaths) => this.#onEarlyDeath(name, deaths),
      onSizeChanged: (size) => this.#hub.send({ type: "workerCount", count: size }),
      ended: (worker, pid) => this.#hub.send({ type: "workerEnded", worker, pid, ended: this.#pool.ended }),
    });
  }

  /** Resolves when the hub and all workers are ready. Rejects with an error that the user can act on. */
  async start(): Promise<Addresses> {
    const { host, port, adminHost, adminPort } = this.#config;
    this.#keyFile?.start();
    this.#port = await this.#ports.take({ what: "public", host, port });
    this.#adminPort = await this.#ports.take({ what: "admin", host: adminHost, port: adminPort });
    this.#liveness.start();
    this.#logFiles = await openLogFiles(this.#config.stateDir, this.#log);
    if (this.#config.stateDir !== "" && !this.#logFiles.some(({ kind }) => kind === "disk"))
      this.#noDisk = "the disk was full when the gateway started";
    this.#hub.start();
    await this.#until(() => this.#hub.ready);
    for (let i = 0; i < this.#sizing.workers; i++) this.#pool.spawn();
    await this.#until(() => this.#pool.workers.every(({ child }) => child.ready));
    this.#onFatal = undefined;
    this.#started = true;
    return { port: this.#port, adminPort: this.#adminPort };
  }

  #createKeyFile(): KeyFile | undefined {
    const path = this.#config.adminKeysFile;
    if (path === "") return undefined;
    return new KeyFile({ path, log: this.#log, onKeys: (keys) => this.#hub.send({ type: "adminKeys", keys }) });
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

  #createHub(): Child {
    return new Child({
      name: "hub",
      entry: "../process/hub.js",
      log: this.#log,
      descriptors: () => this.#logFiles.map(({ fd }) => fd),
      startMessage: () => this.#startHub(),
      onMessage: (message) => this.#onHubMessage(message),
      onDied: (_pid, deaths) => {
        this.#load = undefined;
        this.#onEarlyDeath("hub", deaths);
      },
    });
  }

  #children(): NamedChild[] {
    const workers = this.#pool.workers.map(({ slot, child }) => ({ name: `worker ${slot}`, worker: slot, child }));
    return [{ name: "hub", child: this.#hub }, ...workers];
  }

  #onHubMessage(message: ChildReport): void {
    if (message.type === "ready") {
      this.#monitor.renew();
      this.#liveness.renew();
    }
    this.#onMessage(message);
  }

  #onMessage(message: ChildReport): void {
    switch (message.type) {
      case "log":
        this.#log(message.level, message.message, message.fields);
        break;
      case "fatal":
        this.#onFatal?.(new GatewayError(message.kind, message.detail));
        break;
      case "ready":
        this.#onReady?.();
        break;
      case "logState":
        this.#onLogState(message.state, message.detail);
        break;
      case "notSaved":
        this.#notSaved = message.detail;
        break;
      case "load":
        this.#onLoad(message.load);
        break;
      case "restartWorkers":
        this.restartWorkers("asked on the admin port");
        break;
      case "beat":
      case "full":
      case "drained":
        // For liveness.ts and the worker pool, which have them already.
        break;
      default:
        message satisfies never;
    }
  }

  /** The hub sends nothing of that turn until this is answered, so that `#isLogWhole` is right before anyone sees an offset that the log lacks. */
  #onLogState(state: WalState, detail: string): void {
    this.#isLogWhole = state !== "none";
    this.#notSaved = this.#config.stateDir === "" ? "" : detail;
    this.#hub.send({ type: "logStateKnown" });
  }

  /** Why the next start will not find what topics remember; "" where it will, or where --state-dir is not given. */
  get notSaved(): string {
    return this.#noDisk || this.#notSaved;
  }

  /** Ends the start after START_TRIES early deaths; once the gateway has started, children are restarted for ever. */
  #onEarlyDeath(name: string, deaths: number): void {
    if (deaths < START_TRIES) return;
    this.#onFatal?.(
      new GatewayError("failed", `${name} died ${deaths} times while starting; the reason is in the log above`),
    );
  }

  #startHub(): StartHub {
    const { workers, ceiling } = this.#sizing;
    const { ended } = this.#pool;
    return {
      type: "startHub",
      // As they are in use: a restarted hub keeps the port that the first one was given, and knows the clients' port.
      config: { ...this.#config, port: this.#port, adminPort: this.#adminPort },
      path: this.#runDir.socketPath,
      token: this.#runDir.token,
      workers,
      cap: this.#sizing.cap,
      workerCap: capOfSlot(ceiling, workers, 0),
      workerProcesses: this.#pool.workers.length,
      ended,
      roll: this.#roller.state,
      isRestart: this.#hub.restarts > 0,
      logFiles: this.#logFiles.map((file, i) => ({ ...file, fd: FIRST_DESCRIPTOR + i })),
      isLogWhole: this.#isLogWhole,
      rate: this.#budget.rate,
      adminKeys: this.#keyFile?.keys ?? null,
    };
  }

  #startWorker(index: number): StartWorker {
    const { workers, ceiling, nofile, max } = this.#sizing;
    const cap = capOfSlot(ceiling, workers, index);
    return {
      type: "startWorker",
      // The port in use, which the example page names.
      config: { ...this.#config, adminPort: this.#adminPort },
      path: this.#runDir.socketPath,
      token: this.#runDir.token,
      index,
      port: this.#port,
      workers,
      cap,
      overflow: overflowRoom(cap, max),
      capReason: ceiling.reason,
      nofile,
      ...this.#budget,
      ticketKey: this.#ticketKey,
      authKeys: this.#authFiles.keys,
      drain: this.#drainOfAll(),
    };
  }

  /** Samples the machine, and gives the workers the budget that the hub measured when it differs enough from theirs. */
  #onLoad(load: Load): void {
    this.#load = load;
    this.#loadMs = performance.now();
    this.#monitor.update({ ...load, cap: this.#sizing.cap });
    const { rate } = load;
    const windowMs = returnWindowMs(load.connections, rate);
    if (!isNews(this.#budget.rate, rate) && !isNews(this.#budget.windowMs, windowMs)) return;
    this.#budget = { rate, windowMs };
    for (const { child } of this.#pool.workers) child.send({ type: "budget", rate, windowMs });
  }

  #drainOfAll(): DrainOptions {
    const withinMs = goodbyesWithinMs(this.#config.stopSeconds);
    const perSecond = returnRate(this.#budget.rate);
    return { reason: "drain", among: this.#sizing.workers, perSecond, withinMs };
  }

  /** Reads the keys of the admin port again; those before stay where the file is not usable. */
  reloadKeys(): void {
    this.#keyFile?.reload();
  }

  /** Replaces every worker process, one after the other. Refused, with a line in the log, while another one runs. */
  restartWorkers(why: string): void {
    const refusal = this.#stopping ? "the gateway is stopping" : this.#started ? undefined : "the gateway is starting";
    // Keys rotate so: the new workers verify with what the files hold now.
    if (refusal === undefined && this.#roller.state.state !== "rolling") this.#authFiles.reload();
    this.#roller.begin(this.#pool, why, refusal);
  }

  /** Sends all clients away, then ends workers and hub, all by one deadline (stop-deadline.ts). A second call returns the same stop. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    const deadline = stopDeadline(performance.now(), this.#config);
    const leftMs = (endMs: number): number => Math.max(0, endMs - performance.now());
    await this.#becomeUnready();
    await new Promise((resolve) => {
      this.#notice = setTimeout(resolve, leftMs(deadline.noticeEndMs));
    });
    this.#liveness.stop();
    this.#keyFile?.stop();
    const late = await this.#pool.stop(leftMs(deadline.workersEndMs), this.#drainOfAll());
    if (late > 0)
      this.#log("warn", "workers were not done within --stop-seconds; their clients were cut", { workers: late });
    const isCut = await this.#hub.stop(leftMs(deadline.endMs));
    if (isCut) this.#log("warn", "the hub was not done within --stop-seconds; it was cut");
    this.#ports.release();
    this.#runDir.clean();
  }

  /** Before anything closes, so that load balancers that poll `/readyz` send nobody any more. */
  async #becomeUnready(): Promise<void> {
    this.#hub.send({ type: "notReady" });
    const endMs = performance.now() + UNREADY_MS;
    while (this.#hub.ready && this.#load?.ready !== false && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** At once, without goodbye. */
  kill(): void {
    // A pending timer would keep this process alive.
    clearTimeout(this.#notice);
    this.#liveness.stop();
    this.#keyFile?.stop();
    this.#pool.kill();
    this.#hub.kill();
    this.#ports.release();
    this.#runDir.clean();
  }
}
