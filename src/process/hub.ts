/**
 * Entry file of the hub process: numbers and fans out publications, answers the admin port, adds up the workers'
 * counters. Forked by the supervisor; it may die and be forked again while every client stays connected.
 *
 *   publisher ─HTTP─► admin ─► publish ─► Hub ─► Acceptor ─unix socket─► workers
 *   Prometheus ─HTTP─► admin ─► registry ◄─ Fleet ◄────── counters ──────────┘
 */
import type { Server } from "node:http";
import { adminHostnames } from "../admin/guard.js";
import { readyAnswer, Silence } from "../admin/readiness.js";
import { inspectRoutes } from "../admin/routes.js";
import { createAdmin, type Routes } from "../admin/server.js";
import { Budget } from "../admission/budget.js";
import { monotonicMs } from "../clock.js";
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
import { ADMIN_REFUSE_REASONS, type AdminRefuseReason } from "../metrics/catalog.js";
import { createRegistry, memorySamples, type Sample } from "../metrics/exposition.js";
import { Fleet } from "../metrics/fleet.js";
import { Limits } from "../metrics/limits.js";
import { MemoryGauge } from "../metrics/memory.js";
import { UWS_VERSION, VERSION } from "../platform.js";
import { type HubPort, PublishApi } from "../publish/api.js";
import { endedInAll, type StartHub, type ToChild, tell } from "../supervision/control-channel.js";
import { whyNotListening } from "../supervision/ports.js";
import { TopicRules } from "../topics/rules.js";
import { CannotStart, type Running, runChild } from "./child.js";

const MEMORY_EVERY_MS = 5000;
const LOAD_EVERY_MS = 1000;
const LAST_ANSWERS_MS = 100;
/** For the supervisor's word that it knows where the log stands; it does little else. */
const HEARD_MS = 2000;
const log = forwardedLog({ process: "hub" });

runChild<StartHub>("startHub", log, start);

async function start(given: StartHub): Promise<Running> {
  const { config } = given;
  const fleet = new Fleet();
  const hub = new Hub({
    rules: new TopicRules(config, config.topicRules),
    generation: newGeneration(),
    memoryBytes: topicMemoryBytes(config),
    lingerMs: config.topicLingerSeconds * 1000,
    idempotencyBytes: config.idempotencyBytes,
    frameBytes: Math.min(config.hubQueueBytes, MAX_FRAME_BYTES),
    now: monotonicMs,
  });
  let onHeard: (() => void) | undefined;
  const wal = restore(hub, given, () => acceptor.release(), logState);
  hub.open = false;
  const reopening = new Reopening(given.pool, given.isRestart, {
    onOpen: (workers) => {
      hub.open = true;
      if (given.isRestart) log("info", "the hub takes publications again", { workersLinked: workers, of: given.pool });
    },
    onComplete: () => hub.allFollowed(),
  });
  const budget = new Budget(given.workers, given.rate, config.acceptRate > 0);
  const memory = new MemoryGauge();
  const limits = new Limits(given.cap.connections);
  const silence = new Silence();
  let ready = true;
  let stopping = false;
  let { pool: crew, ended, roll } = given;
  // Asked for each publication and not once a request: a stream of lines may last for days.
  const publish: HubPort["publish"] = (drafts) => {
    if (stopping) return { results: [], error: new GatewayError("draining") };
    const batch = hub.publishAll(drafts);
    return wal.flushed()?.then(() => batch) ?? batch;
  };
  const publishApi = new PublishApi({ publish, room: () => acceptor.room() }, config.maxPublicationBytes, {
    bytes: config.publishBufferBytes,
    seconds: config.publishBodySeconds,
  });
  const adminRefused = new Map<string, number>(Object.keys(ADMIN_REFUSE_REASONS).map((reason) => [reason, 0]));
  const acceptor: Acceptor = new Acceptor(hub, {
    path: given.path,
    token: given.token,
    queueBytes: config.hubQueueBytes,
    addressLimit: config.connectionsPerAddress,
    log,
    onCounters: (worker, values) => fleet.update(worker, values),
    onLinked: (worker, pid) => fleet.joined(worker, pid),
    onLeft: (_worker, pid) => workerExits.linkClosed(pid),
    onRelinked: (worker) => reopening.relinked(worker),
    onWaiting: () => wal.schedule(),
  });
  const workerExits = new WorkerExits((pid) => acceptor.isLinked(pid), fleet, endedInAll(ended));
  const pids = (): number[] => [process.ppid, process.pid, ...fleet.members().map(({ pid }) => pid)];
  const connections = (): number => fleet.total("connections");
  const registry = createRegistry(fleet, {
    workerConnections: () => fleet.members().map((m) => labelled(m.worker, m.connections)),
    workers: () => fleet.size,
    workersExpected: () => given.workers,
    connectionsCap: () => [{ labels: { limit: given.cap.limit }, value: given.cap.connections }],
    ceiling: () => limits.ceilings(),
    headroom: () => limits.headroom(connections()),
    limitEvents: () => limits.events(),
    workersSilent: () => silence.workers.size,
    hungEnded: () => silence.ended(),
    workerRestarts: () => ended.restarts,
    workerRolls: () => ended.rolled,
    acceptRate: () => budget.rate,
    topics: () => hub.topics,
    topicMemory: () => hub.table.memoryBytes,
    topicMemoryLimit: () => topicMemoryBytes(config),
    topicsEvicted: () => hub.table.evicted,
    topicHistoriesShortened: () => hub.table.shortened,
    topicStatesRefused: () => hub.statesRefused,
    topicsUnpublished: () => hub.table.unpublished,
    topicsRenumbered: () => hub.aheadClaims,
    idempotencyIds: () => hub.ids.size,
    idempotencyBytes: () => hub.ids.bytes,
    logBytes: () => wal.bytes,
    logImages: () => (wal.isImaging ? 1 : 0),
    logInMemory: () => (wal.state === "ok" ? 0 : 1),
    logFailures: () => wal.failures,
    logSlowWrites: () => wal.slowWrites,
    publications: () => hub.publications,
    publicationBytes: () => hub.publicationBytes,
    publishRefused: () => publishApi.refused,
    adminRefused: () => [...adminRefused].map(([reason, value]) => ({ labels: { reason }, value })),
    queueBytes: () => acceptor.queues().map((queue) => labelled(queue.worker, queue.bytes)),
    queueOverflows: () => acceptor.overflows,
    memory: () => memorySamples(memory, connections()).total,
    memoryPerConnection: () => memorySamples(memory, connections()).each,
    buildInfo: () => [{ labels: { version: VERSION, node: process.version, uws: UWS_VERSION }, value: 1 }],
  });
  // One that died is replaced, and the others take clients meanwhile: only the beginning waits for all.
  let complete = false;
  const missing = (): string[] => {
    complete ||= fleet.size >= given.workers;
    const reasons = ready ? [] : ["stopping"];
    if (given.isRestart && !reopening.isComplete)
      reasons.push(
        `${reopening.missing} of ${crew} workers have not asked for their topics again after a restart of the hub`,
      );
    if (acceptor.unanswered > 0)
      reasons.push(`${acceptor.unanswered} topics that workers asked for are not served yet`);
    if (!complete) reasons.push(`${fleet.size} of ${given.workers} workers linked`);
    if (fleet.listening(silence.workers) === 0) reasons.push("no worker listens");
    return reasons;
  };
  const routes: Routes = {
    ...inspectRoutes({
      hub,
      acceptor,
      fleet,
      config,
      workerCap: given.workerCap,
      acceptRate: () => budget.rate,
      flushed: () => wal.flushed(),
    }),
    "POST /publish": async (request) => ({ body: await publishApi.publish(request) }),
    "GET /metrics": async () => ({ body: await registry.metrics(), contentType: registry.contentType }),
    "GET /healthz": () => ({ body: { status: "alive" } }),
    "GET /readyz": () =>
      readyAnswer(missing(), silence.detail, wal.state === "ok" ? {} : { log: LOG_STATES[wal.state] }),
    "POST /restart-workers": () => {
      if (!ready) throw new GatewayError("draining");
      if (roll.state === "rolling") {
        throw new GatewayError("alreadyRolling", `${roll.replaced} of ${roll.of} workers are replaced: ${roll.detail}`);
      }
      roll = { state: "rolling", replaced: 0, of: crew, detail: "begins" };
      tell({ type: "restartWorkers" });
      return { status: 202, body: roll };
    },
    "GET /restart-workers": () => ({ body: roll }),
  };
  const admin = createAdmin(routes, {
    connections: config.adminConnections,
    headSeconds: config.adminHeadSeconds,
    hostnames: adminHostnames(config.adminHostnames),
    answerBytes: config.adminAnswerBytes,
    answerSeconds: config.adminAnswerSeconds,
    onRefused: (reason: AdminRefuseReason) => adminRefused.set(reason, adminRefused.get(reason)! + 1),
  });
  await acceptor.listen();
  await listen(admin, config.adminHost, config.adminPort);
  const measure = (): void => void memory.measure(pids(), connections());
  const measuring = setInterval(measure, MEMORY_EVERY_MS);
  const tellLoad = (): void => {
    const load = {
      ready,
      connections: connections(),
      handshakes: fleet.total("handshakes"),
      workers: fleet.size,
      counted: fleet.counted,
      workersListening: fleet.total("listening"),
      refusedFull: fleet.total("refused_full"),
      lagSeconds: fleet.total("loopLagMax"),
      ended: workerExits.counted,
      rate: budget.rate,
    };
    tell({ type: "load", load });
  };
  const warnings = new HubWarnings(hub, log);
  let measuredMs = performance.now();
  const telling = setInterval(() => {
    const nowMs = performance.now();
    budget.measure(fleet.storm(), (nowMs - measuredMs) / 1000);
    measuredMs = nowMs;
    warnings.sample(nowMs);
    tellLoad();
  }, LOAD_EVERY_MS);
  tell({ type: "ready" });

  function handle(message: ToChild): void {
    if (message.type === "notReady") {
      ready = false;
      tellLoad();
    } else if (message.type === "machine") limits.update(message);
    else if (message.type === "silence") silence.update(message);
    else if (message.type === "logStateHeard") onHeard?.();
    else if (message.type === "crew") {
      crew = message.size;
      reopening.expect(crew);
    } else if (message.type === "roll") roll = message.roll;
    else if (message.type === "workerEnded") {
      ended = message.ended;
      workerExits.processEnded(message.worker, message.pid, endedInAll(ended));
    }
  }
  function logState(state: WalState, detail: string): Promise<void> {
    tell({ type: "logState", state, detail });
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, HEARD_MS);
      onHeard = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  async function stop(): Promise<void> {
    // Publications are taken as long as there are clients to hear them. A stream that goes on gets its answer.
    stopping = true;
    await new Promise((resolve) => setTimeout(resolve, LAST_ANSWERS_MS));
    clearInterval(measuring);
    clearInterval(telling);
    reopening.stop();
    save(wal, config.stateDir, hub);
    acceptor.close();
    admin.close();
    admin.closeAllConnections();
  }
  return { handle, stop };
}

/** In /readyz, where the gateway is ready and yet not all is well. */
const LOG_STATES = {
  memory:
    "in memory, because --state-dir could not be written: a restart of the gateway would lose what topics remember",
  none: "nowhere: the death of the hub would lose what topics remember",
} as const;

/** What the hub before this one remembered, or the run before that. */
function restore(
  hub: Hub,
  given: StartHub,
  onWritten: () => void,
  onState: (state: WalState, detail: string) => Promise<void>,
): Wal {
  const { isLogWhole: isWhole, config } = given;
  const files = given.logFiles.map(({ fd, kind }) => new LogFile(fd, kind));
  try {
    return openWal(hub, { files, isWhole, sync: config.stateSync, log, onWritten, onState });
  } catch (error) {
    const why = error instanceof NotALog ? error.message : `it cannot be read (${String(error)})`;
    throw new CannotStart(
      `--state-dir: the log in ${config.stateDir} is not usable: ${why}; move the files away to start without what they hold`,
    );
  }
}

function save(wal: Wal, dir: string, hub: Hub): void {
  const failure = wal.close();
  if (dir === "") return;
  if (failure === "") {
    log("info", "topics are in the log; the next run goes on with them", { topics: hub.topics, dir });
    return;
  }
  log("error", "what topics remember could not be written to --state-dir; the next run will miss it", {
    dir,
    error: failure,
  });
  tell({ type: "notSaved", detail: failure });
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

const labelled = (worker: number, value: number): Sample => ({ labels: { worker: String(worker) }, value });
