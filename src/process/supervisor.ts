/**
 * `megagate serve`: forks hub and workers, restarts what dies, replaces workers one by one when asked to, stops all in
 * order. Holds no state and serves nothing, so that it has no reason to fail.
 *
 *   supervisor ──control──► hub process (admin port)
 *       └──────control──► worker 1 … worker W (all on the public port)     hub ◄─unix socket─► workers
 */
import { randomBytes } from "node:crypto";
import { isNews, priorRate, returnRate, returnWindowMs } from "../admission/budget.js";
import { capOf } from "../admission/ceiling.js";
import { overflowRoom } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import type { DrainOptions } from "../drain/goodbye.js";
import { tellWithinMs } from "../drain/goodbye.js";
import { GatewayError } from "../errors.js";
import type { WalState } from "../hub/wal/wal.js";
import type { Log } from "../log.js";
import { Child, FIRST_DESCRIPTOR } from "../supervision/child-process.js";
import type { FromChild, Load, StartHub, StartWorker } from "../supervision/control-channel.js";
import { Liveness, type NamedChild } from "../supervision/liveness.js";
import { type OpenLogFile, openLogFiles } from "../supervision/log-files.js";
import { type Machine, MachineMonitor } from "../supervision/machine-monitor.js";
import { PortClaims } from "../supervision/port-claims.js";
import { Roller } from "../supervision/rolling-restart.js";
import { RunDir } from "../supervision/run-dir.js";
import type { Plan } from "../supervision/sizing.js";
import { stopDeadline } from "../supervision/stop-deadline.js";
import { WorkerPool } from "../supervision/worker-pool.js";

/** Deaths of one child before it was ever ready, at which the start is given up. */
const START_TRIES = 4;

/** For the hub's word that it says so; a busy one must not hold up the stop. */
const UNREADY_MS = 500;

/** The hub tells how things stand once a second: an older word than this is not how they stand now. */
const LOAD_STALE_MS = 5000;

export interface Addresses {
  readonly port: number;
  readonly adminPort: number;
}

export class Supervisor {
  readonly #hub: Child;
  readonly #pool: WorkerPool;
  readonly #watching: MachineMonitor;
  readonly #liveness: Liveness;
  readonly #roller: Roller;
  readonly #runDir: RunDir;
  readonly #ports = new PortClaims();
  #port: number;
  #adminPort: number;
  readonly #ticketKey = randomBytes(32).toString("hex");
  /** The storm budget as the workers know it: measured by the hub, until then assumed. */
  #budget: { readonly rate: number; readonly windowMs: number };
  #started = false;
  #logFiles: readonly OpenLogFile[] = [];
  /** False once the log was nowhere for a while: numbers may have been given out that stand in no file. */
  #isLogWhole = true;
  /** Why what topics remember would not outlive the gateway, or did not; "" where it does. */
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

  constructor(
    private readonly config: ServeConfig,
    private readonly plan: Plan,
    private readonly log: Log,
    machine: Machine,
  ) {
    this.#port = config.port;
    this.#adminPort = config.adminPort;
    const rate = config.acceptRate || priorRate(machine.cpus);
    this.#budget = { rate, windowMs: returnWindowMs(0, rate) };
    this.#runDir = new RunDir(config.runDir);
    this.#watching = new MachineMonitor(machine, log, (news) => this.#hub.tell(news));
    this.#hub = this.#createHub();
    this.#liveness = new Liveness({
      log,
      hungSeconds: config.hungSeconds,
      children: () => this.#children(),
      tellHub: (news) => this.#hub.tell(news),
    });
    this.#roller = new Roller({
      log,
      stopSeconds: config.stopSeconds,
      returnRate: () => returnRate(this.#budget.rate),
      load: () => (performance.now() - this.#loadMs < LOAD_STALE_MS ? this.#load : undefined),
      stopping: () => this.#stopping !== undefined,
      tell: (roll) => this.#hub.tell({ type: "roll", roll }),
    });
    this.#pool = new WorkerPool({
      log,
      startMessage: (place) => this.#startWorker(place),
      heard: (message) => this.#heard(message),
      diedEarly: (name, deaths) => this.#diedEarly(name, deaths),
      changed: (size) => this.#hub.tell({ type: "crew", size }),
      ended: (worker, pid) => this.#hub.tell({ type: "workerEnded", worker, pid, ended: this.#pool.ended }),
    });
  }

  /** Resolves when everybody listens. Throws what the user can mend. */
  async start(): Promise<Addresses> {
    const { host, port, adminHost, adminPort } = this.config;
    this.#port = await this.#ports.take({ what: "public", host, port });
    this.#adminPort = await this.#ports.take({ what: "admin", host: adminHost, port: adminPort });
    this.#liveness.start();
    this.#logFiles = await openLogFiles(this.config.stateDir, this.log);
    if (this.config.stateDir !== "" && !this.#logFiles.some(({ kind }) => kind === "disk"))
      this.#noDisk = "the disk was full when the gateway started";
    this.#hub.start();
    await this.#until(() => this.#hub.ready);
    for (let i = 0; i < this.plan.workers; i++) this.#pool.spawn();
    await this.#until(() => this.#pool.workers.every(({ child }) => child.ready));
    this.#onFatal = undefined;
    this.#started = true;
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

  #createHub(): Child {
    return new Child({
      name: "hub",
      entry: "../process/hub.js",
      log: this.log,
      descriptors: () => this.#logFiles.map(({ fd }) => fd),
      startMessage: () => this.#startHub(),
      onMessage: (message) => this.#heardHub(message),
      onDied: (_pid, deaths) => {
        this.#load = undefined;
        this.#diedEarly("hub", deaths);
      },
    });
  }

  #children(): NamedChild[] {
    const workers = this.#pool.workers.map(({ slot: place, child }) => ({
      name: `worker ${place}`,
      worker: place,
      child,
    }));
    return [{ name: "hub", child: this.#hub }, ...workers];
  }

  #heardHub(message: FromChild): void {
    if (message.type === "ready") {
      this.#watching.renew();
      this.#liveness.renew();
    }
    this.#heard(message);
  }

  #heard(message: FromChild): void {
    if (message.type === "log") this.log(message.level, message.message, message.fields);
    else if (message.type === "fatal") this.#onFatal?.(new GatewayError(message.kind, message.detail));
    else if (message.type === "ready") this.#onReady?.();
    else if (message.type === "logState") this.#heardLogState(message.state, message.detail);
    else if (message.type === "notSaved") this.#notSaved = message.detail;
    else if (message.type === "load") this.#heardLoad(message.load);
    else if (message.type === "restartWorkers") this.restartWorkers("asked on the admin port");
  }

  /** Nothing of that turn leaves the hub before it is answered: so a hub that dies then is not believed to have lost nothing. */
  #heardLogState(state: WalState, detail: string): void {
    this.#isLogWhole = state !== "none";
    this.#notSaved = this.config.stateDir === "" ? "" : detail;
    this.#hub.tell({ type: "logStateHeard" });
  }

  /** Why the next start will not find what topics remember; "" where it will, or where nobody asked for it. */
  get notSaved(): string {
    return this.#noDisk || this.#notSaved;
  }

  /** Heard only while starting: a gateway that has run keeps trying. */
  #diedEarly(name: string, deaths: number): void {
    if (deaths < START_TRIES) return;
    this.#onFatal?.(new GatewayError("failed", `${name} died ${deaths} times while starting; the log above says why`));
  }

  #startHub(): StartHub {
    const { workers, ceiling } = this.plan;
    const { ended } = this.#pool;
    return {
      type: "startHub",
      // As they are in use: a restarted hub keeps the port that the first one was given, and tells clients theirs.
      config: { ...this.config, port: this.#port, adminPort: this.#adminPort },
      path: this.#runDir.socketPath,
      token: this.#runDir.token,
      workers,
      cap: this.plan.cap,
      workerCap: capOf(ceiling, workers, 0),
      pool: this.#pool.workers.length,
      ended,
      roll: this.#roller.state,
      isRestart: this.#hub.restarts > 0,
      logFiles: this.#logFiles.map((file, i) => ({ ...file, fd: FIRST_DESCRIPTOR + i })),
      isLogWhole: this.#isLogWhole,
      rate: this.#budget.rate,
    };
  }

  #startWorker(index: number): StartWorker {
    const { workers, ceiling, nofile, max } = this.plan;
    const cap = capOf(ceiling, workers, index);
    return {
      type: "startWorker",
      config: this.config,
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
      drain: this.#drainOfAll(),
    };
  }

  /** The machine is looked at; and what the hub measured becomes the workers' budget when it differs enough. */
  #heardLoad(load: Load): void {
    this.#load = load;
    this.#loadMs = performance.now();
    this.#watching.heard({ ...load, cap: this.plan.cap });
    const { rate } = load;
    const windowMs = returnWindowMs(load.connections, rate);
    if (!isNews(this.#budget.rate, rate) && !isNews(this.#budget.windowMs, windowMs)) return;
    this.#budget = { rate, windowMs };
    for (const { child } of this.#pool.workers) child.tell({ type: "budget", rate, windowMs });
  }

  #drainOfAll(): DrainOptions {
    const withinMs = tellWithinMs(this.config.stopSeconds);
    const perSecond = returnRate(this.#budget.rate);
    return { reason: "drain", among: this.plan.workers, perSecond, withinMs };
  }

  /** Replaces every worker process, one after the other. Refused, with a line in the log, while another one runs. */
  restartWorkers(why: string): void {
    const refusal = this.#stopping ? "the gateway is stopping" : this.#started ? undefined : "the gateway is starting";
    this.#roller.roll(this.#pool, why, refusal);
  }

  /** Everybody is told to go, then workers and hub end, all by one deadline (stop-deadline.ts); asked twice, it is the same stop. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    const deadline = stopDeadline(performance.now(), this.config);
    const leftMs = (endMs: number): number => Math.max(0, endMs - performance.now());
    await this.#becomeUnready();
    await new Promise((resolve) => {
      this.#notice = setTimeout(resolve, leftMs(deadline.noticeEndMs));
    });
    this.#liveness.stop();
    const late = await this.#pool.stop(leftMs(deadline.workersEndMs), this.#drainOfAll());
    if (late > 0)
      this.log("warn", "workers were not done within --stop-seconds; their clients were cut", { workers: late });
    const isCut = await this.#hub.stop(leftMs(deadline.endMs));
    if (isCut) this.log("warn", "the hub was not done within --stop-seconds; it was cut");
    this.#ports.release();
    this.#runDir.clean();
  }

  /** Before anything closes: whoever looks at `/readyz` is not to be surprised. */
  async #becomeUnready(): Promise<void> {
    this.#hub.tell({ type: "notReady" });
    const endMs = performance.now() + UNREADY_MS;
    while (this.#hub.ready && this.#load?.ready !== false && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** At once, without farewell. */
  kill(): void {
    // It would keep this process.
    clearTimeout(this.#notice);
    this.#liveness.stop();
    this.#pool.kill();
    this.#hub.kill();
    this.#ports.release();
    this.#runDir.clean();
  }
}
