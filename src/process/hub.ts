/**
 * Entry file of the hub process: numbers and fans out publications, answers the admin port, adds up the workers'
 * counters. Forked by the supervisor; it may die and be forked again while every client stays connected.
 *
 *   publisher ─HTTP─► admin ─► publish ─► Hub ─► Acceptor ─unix socket─► workers
 *   Prometheus ─HTTP─► admin ─► registry ◄─ Fleet ◄────── counters ──────────┘
 */
import type { Server } from "node:http";
import { adminHostnames } from "../admin/guard.js";
import { AdminKeys } from "../admin/keys.js";
import { Readiness, Silence } from "../admin/readiness.js";
import { adminRoutes } from "../admin/routes.js";
import { AdminRefusals, hubSamples } from "../admin/samples.js";
import { createAdmin } from "../admin/server.js";
import { Budget } from "../admission/budget.js";
import { monotonicMs } from "../clock.js";
import type { AdminKey } from "../config/admin-keys.js";
import { topicMemoryBytes } from "../config/capacity.js";
import { GatewayError } from "../errors.js";
import { Acceptor } from "../hub/acceptor.js";
import { Hub } from "../hub/hub.js";
import { Reopening } from "../hub/reopening.js";
import { LogFile, NotALog } from "../hub/wal/file.js";
import { newGeneration, openWal } from "../hub/wal/open.js";
import type { Wal, WalState } from "../hub/wal/wal.js";
import { HubWarnings } from "../hub/warnings.js";
import { MAX_FRAME_BYTES } from "../hub/wire.js";
import { WorkerExits } from "../hub/worker-exits.js";
import { forwardedLog } from "../log.js";
import { createRegistry } from "../metrics/exposition.js";
import { Fleet } from "../metrics/fleet.js";
import { LimitGauges } from "../metrics/limits.js";
import { MemoryGauge } from "../metrics/memory.js";
import { type HubPort, PublishApi } from "../publish/api.js";
import {
  type Ended,
  endedInAll,
  type HubCommand,
  type RollState,
  report,
  type StartHub,
} from "../supervision/control-channel.js";
import { whyNotListening } from "../supervision/ports.js";
import { TopicRules } from "../topics/rules.js";
import { CannotStart, type RunningChild, runChild } from "./child.js";

const MEMORY_EVERY_MS = 5000;
const LOAD_EVERY_MS = 1000;
/** How long a stop keeps the admin port open, so that publications under way are answered. */
const LAST_ANSWERS_MS = 100;
/** The longest that the hub waits for the supervisor to take note of the log's state; the supervisor does little else. */
const LOG_STATE_MS = 2000;
const log = forwardedLog({ process: "hub" });

class HubProcess implements RunningChild<HubCommand> {
  readonly #given: StartHub;
  readonly #fleet = new Fleet();
  readonly #silence = new Silence();
  readonly #memory = new MemoryGauge();
  readonly #budget: Budget;
  readonly #limits: LimitGauges;
  readonly #hub: Hub;
  readonly #wal: Wal;
  readonly #reopening: Reopening;
  readonly #acceptor: Acceptor;
  readonly #exits: WorkerExits;
  readonly #readiness: Readiness;
  readonly #warnings: HubWarnings;
  readonly #admin: Server;
  readonly #adminKeys: AdminKeys;
  readonly #refusals = new AdminRefusals();
  readonly #timers: NodeJS.Timeout[] = [];
  #workerProcesses: number;
  #ended: Ended;
  #roll: RollState;
  #isStopping = false;
  #onLogStateKnown: (() => void) | undefined;

  constructor(given: StartHub) {
    const { config } = given;
    this.#given = given;
    this.#workerProcesses = given.workerProcesses;
    this.#ended = given.ended;
    this.#roll = given.roll;
    this.#budget = new Budget(given.workers, given.rate, config.acceptRate > 0);
    this.#limits = new LimitGauges(given.cap.connections);
    this.#hub = new Hub({
      rules: new TopicRules(config, config.topicRules),
      generation: newGeneration(),
      memoryBytes: topicMemoryBytes(config),
      lingerMs: config.topicLingerSeconds * 1000,
      idempotencyBytes: config.idempotencyBytes,
      frameBytes: Math.min(config.hubQueueBytes, MAX_FRAME_BYTES),
      now: monotonicMs,
    });
    this.#wal = this.#openLog();
    this.#hub.open = false;
    this.#reopening = new Reopening(given.workerProcesses, given.isRestart, {
      onOpen: (workers) => this.#open(workers),
      onComplete: () => this.#hub.allFollowed(),
    });
    this.#acceptor = this.#createAcceptor();
    this.#exits = new WorkerExits((pid) => this.#acceptor.isLinked(pid), this.#fleet, endedInAll(given.ended));
    this.#readiness = new Readiness({
      fleet: this.#fleet,
      silence: this.#silence,
      reopening: this.#reopening,
      workers: given.workers,
      isRestart: given.isRestart,
      workerProcesses: () => this.#workerProcesses,
      unanswered: () => this.#acceptor.unanswered,
      logState: () => this.#wal.state,
    });
    this.#warnings = new HubWarnings(this.#hub, log);
    this.#adminKeys = new AdminKeys(given.adminKeys);
    this.#admin = this.#createAdmin();
  }

  /** What the hub before this one remembered, or the run before that. */
  #openLog(): Wal {
    const { isLogWhole, config, logFiles } = this.#given;
    const files = logFiles.map(({ fd, kind }) => new LogFile(fd, kind));
    try {
      return openWal(this.#hub, {
        files,
        isWhole: isLogWhole,
        sync: config.stateSync,
        log,
        onWritten: () => this.#acceptor.release(),
        onState: (state, detail) => this.#reportLogState(state, detail),
      });
    } catch (error) {
      const why = error instanceof NotALog ? error.message : `it cannot be read (${String(error)})`;
      throw new CannotStart(
        `--state-dir: the log in ${config.stateDir} is not usable: ${why}; move the files away to start without what they hold`,
      );
    }
  }

  /** Resolves when the supervisor has noted this state, or after LOG_STATE_MS. */
  #reportLogState(state: WalState, detail: string): Promise<void> {
    report({ type: "logState", state, detail });
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LOG_STATE_MS);
      this.#onLogStateKnown = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #open(workersLinked: number): void {
    this.#hub.open = true;
    if (!this.#given.isRestart) return;
    log("info", "the hub takes publications again", { workersLinked, of: this.#given.workerProcesses });
  }

  #createAcceptor(): Acceptor {
    const { path, token, config } = this.#given;
    return new Acceptor(this.#hub, {
      path,
      token,
      queueBytes: config.hubQueueBytes,
      addressLimit: config.connectionsPerAddress,
      log,
      onCounters: (worker, values) => this.#fleet.update(worker, values),
      onLinked: (worker, pid) => this.#fleet.joined(worker, pid),
      onLeft: (_worker, pid) => this.#exits.linkClosed(pid),
      onRelinked: (worker) => this.#reopening.relinked(worker),
      onWaiting: () => this.#wal.schedule(),
    });
  }

  #createAdmin(): Server {
    const { config, workerCap } = this.#given;
    const port: HubPort = {
      publish: (drafts) => this.#publish(drafts),
      backpressure: () => this.#acceptor.backpressure(),
    };
    const publishApi = new PublishApi(port, config.maxPublicationBytes, {
      bytes: config.publishBufferBytes,
      seconds: config.publishBodySeconds,
    });
    const sources = {
      given: this.#given,
      hub: this.#hub,
      wal: this.#wal,
      acceptor: this.#acceptor,
      fleet: this.#fleet,
      publishApi,
      budget: this.#budget,
      memory: this.#memory,
      limits: this.#limits,
      silence: this.#silence,
      refusals: this.#refusals,
      ended: () => this.#ended,
    };
    const routes = adminRoutes({
      ...sources,
      registry: createRegistry(this.#fleet, hubSamples(sources)),
      readiness: this.#readiness,
      rolling: {
        state: () => this.#roll,
        begin: () => this.#beginRollingRestart(),
      },
      config,
      workerCap,
      flushed: () => this.#wal.flushed(),
      acceptRate: () => this.#budget.rate,
    });
    return createAdmin(routes, {
      connections: config.adminConnections,
      headSeconds: config.adminHeadSeconds,
      hostnames: adminHostnames(config.adminHostnames),
      answerBytes: config.adminAnswerBytes,
      answerSeconds: config.adminAnswerSeconds,
      keys: this.#adminKeys,
      onRefused: (reason) => this.#refusals.count(reason),
    });
  }

  /** Refuses publications once the hub stops. Checked for each one, because a stream of lines may last for days. */
  #publish(drafts: Parameters<HubPort["publish"]>[0]): ReturnType<HubPort["publish"]> {
    if (this.#isStopping) return { results: [], error: new GatewayError("draining") };
    const batch = this.#hub.publishAll(drafts);
    return this.#wal.flushed()?.then(() => batch) ?? batch;
  }

  #beginRollingRestart(): RollState {
    if (this.#readiness.isStopping) throw new GatewayError("draining");
    if (this.#roll.state === "rolling") {
      const { replaced, of, detail } = this.#roll;
      throw new GatewayError("alreadyRolling", `${replaced} of ${of} workers are replaced: ${detail}`);
    }
    this.#roll = { state: "rolling", replaced: 0, of: this.#workerProcesses, detail: "begins" };
    report({ type: "restartWorkers" });
    return this.#roll;
  }

  async start(): Promise<void> {
    const { adminHost, adminPort } = this.#given.config;
    await this.#acceptor.listen();
    await listen(this.#admin, adminHost, adminPort);
    this.#timers.push(
      setInterval(() => void this.#measureMemory(), MEMORY_EVERY_MS),
      setInterval(this.#everySecond(), LOAD_EVERY_MS),
    );
    report({ type: "ready" });
  }

  #measureMemory(): Promise<void> {
    const pids = [process.ppid, process.pid, ...this.#fleet.members().map(({ pid }) => pid)];
    return this.#memory.measure(pids, this.#fleet.total("connections"));
  }

  #everySecond(): () => void {
    let measuredMs = performance.now();
    return () => {
      const nowMs = performance.now();
      this.#budget.measure(this.#fleet.storm(), (nowMs - measuredMs) / 1000);
      measuredMs = nowMs;
      this.#warnings.sample(nowMs);
      this.#reportLoad();
    };
  }

  #reportLoad(): void {
    const fleet = this.#fleet;
    const load = {
      ready: !this.#readiness.isStopping,
      connections: fleet.total("connections"),
      handshakes: fleet.total("handshakes"),
      workers: fleet.size,
      counted: fleet.counted,
      workersListening: fleet.total("listening"),
      refusedFull: fleet.total("refused_full"),
      lagSeconds: fleet.total("loopLagMax"),
      ended: this.#exits.counted,
      rate: this.#budget.rate,
    };
    report({ type: "load", load });
  }

  handle(message: Exclude<HubCommand, StartHub | { readonly type: "stop" }>): void {
    switch (message.type) {
      case "notReady":
        this.#readiness.announceStop();
        this.#reportLoad();
        break;
      case "machine":
        this.#limits.update(message);
        break;
      case "silence":
        this.#silence.update(message);
        break;
      case "logStateKnown":
        this.#onLogStateKnown?.();
        break;
      case "workerCount":
        this.#workerProcesses = message.count;
        this.#reopening.expect(message.count);
        break;
      case "roll":
        this.#roll = message.roll;
        break;
      case "adminKeys":
        this.#replaceKeys(message.keys);
        break;
      case "workerEnded":
        this.#ended = message.ended;
        this.#exits.processEnded(message.worker, message.pid, endedInAll(message.ended));
        break;
      default:
        message satisfies never;
    }
  }

  #replaceKeys(keys: readonly AdminKey[]): void {
    const cut = this.#adminKeys.replace(keys);
    for (let i = 0; i < cut; i++) this.#refusals.count("wrong_key");
    if (cut > 0) log("warn", "requests under way were cut: their keys may no longer do it", { requests: cut });
  }

  /** The supervisor stops the hub after the last worker, so that no client misses a publication. A stream that goes on is answered `draining`. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await new Promise((resolve) => setTimeout(resolve, LAST_ANSWERS_MS));
    for (const timer of this.#timers) clearInterval(timer);
    this.#reopening.stop();
    this.#closeLog();
    this.#acceptor.close();
    this.#admin.close();
    this.#admin.closeAllConnections();
  }

  #closeLog(): void {
    const failure = this.#wal.close();
    const dir = this.#given.config.stateDir;
    if (dir === "") return;
    if (failure === "") {
      log("info", "topics are in the log; the next run goes on with them", { topics: this.#hub.topics, dir });
      return;
    }
    log("error", "what topics remember could not be written to --state-dir; the next run will miss it", {
      dir,
      error: failure,
    });
    report({ type: "notSaved", detail: failure });
  }
}

async function listen(admin: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      admin.once("error", reject);
      admin.listen(port, host, resolve);
    });
  } catch (error) {
    throw new CannotStart(whyNotListening("admin", host, port, error as NodeJS.ErrnoException));
  }
}

runChild<StartHub, HubCommand>("startHub", log, async (given) => {
  const hub = new HubProcess(given);
  await hub.start();
  return hub;
});
