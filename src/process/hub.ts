/**
 * Entry file of the hub process: numbers and fans out publications, answers the admin port, adds up the workers'
 * counters. Forked by the supervisor; it may die and be forked again while every client stays connected.
 *
 *   publisher ─HTTP─► admin ─► publish ─► Hub ─► Acceptor ─unix socket─► workers
 *   Prometheus ─HTTP─► admin ─► registry ◄─ Fleet ◄────── counters ──────────┘
 */
import type { Server } from "node:http";
import { Budget } from "../admission/budget.js";
import { GatewayError } from "../errors.js";
import { Acceptor } from "../hub/acceptor.js";
import { loadTopics, saveTopics } from "../hub/archive.js";
import { Hub } from "../hub/hub.js";
import { Rebuild } from "../hub/rebuild.js";
import { Settled } from "../hub/settled.js";
import { MAX_FRAME_BYTES } from "../hub/wire.js";
import { forwardedLog } from "../log.js";
import { ADMIN_REFUSE_REASONS, type AdminRefuseReason } from "../metrics/catalog.js";
import { createRegistry, memorySamples, type Sample } from "../metrics/exposition.js";
import { Fleet } from "../metrics/fleet.js";
import { Limits } from "../metrics/limits.js";
import { MemoryGauge } from "../metrics/memory.js";
import { UWS_VERSION, VERSION } from "../platform.js";
import { type HubPort, PublishApi } from "../publish/api.js";
import { TopicRules } from "../topics/rules.js";
import { createAdmin, type Routes } from "./admin.js";
import { CannotStart, type Running, runChild } from "./child.js";
import { Departures } from "./departures.js";
import { looks } from "./looks.js";
import { endedInAll, type StartHub, type ToChild, tell } from "./messages.js";
import { whyNotListening } from "./ports.js";

const MEMORY_EVERY_MS = 5000;
const LOAD_EVERY_MS = 1000;
const LAST_ANSWERS_MS = 100;
const log = forwardedLog({ process: "hub" });

runChild<StartHub>("startHub", log, start);

async function start(given: StartHub): Promise<Running> {
  const { config } = given;
  const fleet = new Fleet();
  const frameBytes = Math.min(config.hubQueueBytes, MAX_FRAME_BYTES);
  const hub = new Hub(new TopicRules(config, config.topicRules), config.topicMemoryBytes, frameBytes);
  const rebuild = new Rebuild(hub, given.rebuild ? given.crew : 0, given.allLived, (workers, isContinued) =>
    log("info", `topics gathered from the workers; numbering ${isContinued ? "goes on" : "begins anew"}`, {
      workers,
      topics: hub.topics,
    }),
  );
  const budget = new Budget(given.workers, given.rate, config.acceptRate > 0);
  const memory = new MemoryGauge();
  const limits = new Limits(given.cap.connections);
  let ready = true;
  let stopping = false;
  let { crew, ended, roll } = given;
  // Asked for each publication and not once a request: a stream of lines may last for days.
  const publish: HubPort["publish"] = (topic, data, key) => {
    if (stopping) throw new GatewayError("draining");
    return hub.publish(topic, data, key);
  };
  const publishApi = new PublishApi({ publish, room: () => acceptor.room() }, config.maxPublicationBytes, {
    bytes: config.publishBufferBytes,
    seconds: config.publishBodySeconds,
  });
  const adminRefused = new Map<string, number>(Object.keys(ADMIN_REFUSE_REASONS).map((reason) => [reason, 0]));
  const acceptor = new Acceptor(hub, rebuild, {
    path: given.path,
    queueBytes: config.hubQueueBytes,
    addressLimit: config.connectionsPerAddress,
    log,
    onCounters: (worker, values) => fleet.update(worker, values),
    onLinked: (worker, pid) => fleet.joined(worker, pid),
    onLeft: (_worker, pid) => departures.linkClosed(pid),
  });
  const departures = new Departures((pid) => acceptor.isLinked(pid), fleet, endedInAll(ended));
  const settled = new Settled(
    endedInAll(ended),
    () => acceptor.haveRead(crew),
    (known) => tell({ type: "settled", ended: known }),
  );
  if (given.rebuild) void settled.check();
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
    workerRestarts: () => ended.restarts,
    workerRolls: () => ended.rolled,
    acceptRate: () => budget.rate,
    topics: () => hub.topics,
    topicMemory: () => hub.memoryBytes,
    topicsEvicted: () => hub.evicted,
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
    if (rebuild.running) reasons.push("gathering topics from the workers");
    if (!complete) reasons.push(`${fleet.size} of ${given.workers} workers linked`);
    if (fleet.total("listening") === 0) reasons.push("no worker listens");
    return reasons;
  };
  const routes: Routes = {
    ...looks({ hub, acceptor, fleet, config, workerCap: given.workerCap, acceptRate: () => budget.rate }),
    "POST /publish": async (request) => ({ body: await publishApi.publish(request) }),
    "GET /metrics": async () => ({ body: await registry.metrics(), contentType: registry.contentType }),
    "GET /healthz": () => ({ body: { status: "alive" } }),
    "GET /readyz": () => {
      const reasons = missing();
      return reasons.length === 0
        ? { body: { status: "ready" } }
        : { status: 503, body: { status: "not ready", reasons } };
    },
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
  if (config.stateDir !== "" && !given.rebuild) restore(hub, config.stateDir);
  const admin = createAdmin(routes, {
    connections: config.adminConnections,
    headSeconds: config.adminHeadSeconds,
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
      workersListening: fleet.total("listening"),
      refusedFull: fleet.total("refused_full"),
      lagSeconds: fleet.total("loopLagMax"),
      ended: departures.counted,
      rate: budget.rate,
    };
    tell({ type: "load", load });
  };
  let measuredMs = performance.now();
  const telling = setInterval(() => {
    const nowMs = performance.now();
    budget.measure(fleet.storm(), (nowMs - measuredMs) / 1000);
    measuredMs = nowMs;
    tellLoad();
  }, LOAD_EVERY_MS);
  tell({ type: "ready" });

  function handle(message: ToChild): void {
    if (message.type === "notReady") {
      ready = false;
      tellLoad();
    } else if (message.type === "machine") limits.update(message);
    else if (message.type === "crew") crew = message.size;
    else if (message.type === "roll") roll = message.roll;
    else if (message.type === "workerEnded") {
      ended = message.ended;
      departures.processEnded(message.worker, message.pid, endedInAll(ended));
      settled.died(endedInAll(ended));
    }
  }
  async function stop(): Promise<void> {
    // Publications are taken as long as there are clients to hear them. A stream that goes on gets its answer.
    stopping = true;
    await new Promise((resolve) => setTimeout(resolve, LAST_ANSWERS_MS));
    clearInterval(measuring);
    clearInterval(telling);
    settled.stop();
    acceptor.close();
    admin.close();
    admin.closeAllConnections();
    if (config.stateDir !== "") save(hub, config.stateDir);
  }
  return { handle, stop };
}

function restore(hub: Hub, dir: string): void {
  try {
    const topics = loadTopics(hub, dir);
    if (topics > 0) log("info", "topics taken over from the last run", { topics, dir });
  } catch (error) {
    throw new CannotStart(
      `--state-dir: ${dir} holds no readable state (${String(error)}); move it away to start without`,
    );
  }
}

function save(hub: Hub, dir: string): void {
  try {
    log("info", "topics saved for the next run", { topics: saveTopics(hub, dir), dir });
  } catch (error) {
    log("error", "topics could not be saved; the next run begins new epochs", { dir, error: String(error) });
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

const labelled = (worker: number, value: number): Sample => ({ labels: { worker: String(worker) }, value });
