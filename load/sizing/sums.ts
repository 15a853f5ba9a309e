/**
 * The arithmetic of a plan for one server with n connections: processes, descriptors, memory, CPU, network, times.
 * Pure; runs in the command line. lines.ts describes each formula, bounds.ts compares the results with the machine. Unknown
 * quantities are taken at their worse end, and whole numbers are rounded up.
 */
import {
  fullestWorker,
  logBytes,
  RETURN_RATE_PER_CORE,
  WORKER_OWN_DESCRIPTORS,
  workersFor,
} from "../../src/config/capacity.js";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import { slowReaderCost } from "../../src/config/slow-cost.js";
import type { Constants } from "./constants.js";
import type { Demand, ServerMachine } from "./demand.js";
import { ACK_WIRE_BYTES, ENVELOPE_BYTES, onWire } from "./frames.js";

/** A socket that has been silent for this long is pinged: serve's idle timeout less uWebSockets' margin of 16 s. */
const PING_SECONDS = SERVE_OPTIONS.idleTimeoutSeconds.default - 16;
const SWEEP_SECONDS = 4;
/** Tasks of one process: an idle worker has seven threads (measured), the rest is slack. */
const TASKS_PER_PROCESS = 12;
/** What the hub's count of topic memory adds to each remembered publication and to each topic (src/topics/memory.ts, src/hub/topic-table.ts). */
const ACCOUNT_BYTES = 220;
const TOPIC_ACCOUNT_BYTES = 516;
/** What an image in the log adds to each remembered publication and to each topic (src/hub/wal/records.ts). */
const IMAGE_ENTRY_BYTES = 24;
const IMAGE_TOPIC_BYTES = 48;
/** `{"reqtype":"Heartbeat"}`; a ping is smaller. */
const HEARTBEAT_BYTES = 23;

export type Figures = ReturnType<typeof figuresOf>;

export interface Given {
  readonly demand: Demand;
  readonly machine: ServerMachine;
  readonly constants: Constants;
}

export function figuresOf(given: Given, connections: number) {
  const processes = processesOf(given, connections);
  const traffic = trafficOf(given, connections, processes.workers);
  return {
    connections,
    processes,
    traffic,
    memory: memoryOf(given, connections, { workers: processes.workers, traffic }),
    cpu: cpuOf(given, connections, traffic),
    network: networkOf(given, traffic),
    times: timesOf(given, connections, { workers: processes.workers, traffic }),
    addresses: {
      atTheEdge: Math.ceil(connections / given.machine.portsPerAddress),
      cheap: Math.ceil(connections / Math.max(1, Math.floor(given.machine.portsPerAddress / 2))),
    },
  };
}

function processesOf({ demand, machine }: Given, n: number) {
  const workers = workersFor(n, machine.cores, machine.nofile);
  const generators = demand.clientsHere ? Math.max(Math.ceil(machine.cores), Math.ceil(n / (machine.nofile - 100))) : 0;
  const ends = n * (demand.clientsHere ? 2 : 1);
  const fullest = fullestWorker(n, workers);
  return {
    workers,
    fullest,
    descriptorsOfFullest: fullest + WORKER_OWN_DESCRIPTORS,
    generators,
    descriptors: ends + (workers + generators) * WORKER_OWN_DESCRIPTORS,
    // As tune sets them: one for each end, and a tenth for everything else.
    fileMaxAndWatches: Math.ceil((ends * 11) / 10),
    tasks: (workers + 2 + generators) * TASKS_PER_PROCESS,
  };
}

/** Every server gets every publication, because publishers send it to each server. */
function trafficOf({ demand }: Given, n: number, workers: number) {
  const { topics, subscriptions, perMinute, heartbeatSeconds: beat } = demand;
  const perTopicPerSecond = perMinute / 60 / subscriptions;
  const subscribersOfTopic = Math.min(n, Math.ceil((n * subscriptions) / topics));
  const heartbeats = beat > 0 ? n / beat : 0;
  const pings = beat === 0 || beat > PING_SECONDS ? n / PING_SECONDS : 0;
  return {
    publicationsPerSecond: topics * perTopicPerSecond,
    perTopicPerSecond,
    subscribersOfTopic,
    workersOfTopic: Math.min(workers, subscribersOfTopic),
    deliveriesPerSecond: (n * perMinute) / 60,
    beatsPerSecond: heartbeats + pings,
  };
}

type Traffic = ReturnType<typeof trafficOf>;

const pushBytesOf = ({ demand }: Given): number => demand.messageBytes + ENVELOPE_BYTES;

function memoryOf(given: Given, n: number, { workers, traffic }: { workers: number; traffic: Traffic }) {
  const { demand, constants: c } = given;
  const remembered = rememberedOf(given, traffic);
  const perMemory = remembered * (pushBytesOf(given) + c.perRemembered);
  const replicas = workers * Math.min(demand.topics, Math.ceil((n * demand.subscriptions) / workers));
  const clients = demand.clientsHere ? n * (c.kernelPerClientEnd + c.generatorPerConnection) : 0;
  const parts = {
    processes: (workers + 2) * c.perProcess,
    connections: n * (c.userPerConnection + (demand.subscriptions - 1) * c.perFurtherSubscription),
    topicsInHub: demand.topics * (c.perHubTopic + perMemory),
    topicsInWorkers: replicas * (c.perReplica + perMemory),
    log: logBytes(demand.topics * (IMAGE_TOPIC_BYTES + remembered * (pushBytesOf(given) + IMAGE_ENTRY_BYTES))),
    tls: demand.tls ? n * c.tlsPerConnection * (demand.clientsHere ? 2 : 1) : 0,
    kernel: n * c.kernelPerServerEnd,
    buffers: Math.ceil((n * demand.stalledPercent) / 100) * (c.stalledQueue + stalledBytes(given)),
    clients,
  };
  const total = Object.values(parts).reduce((sum, part) => sum + part, 0);
  // What serve compares with its --topic-memory-bytes.
  const account = demand.topics * (TOPIC_ACCOUNT_BYTES + remembered * (pushBytesOf(given) + ACCOUNT_BYTES));
  return {
    ...parts,
    account,
    remembered,
    replicas,
    user: total - parts.kernel - parts.buffers - parts.log - clients,
    total,
  };
}

/** Of the worker's own memory, at most. */
function stalledBytes({ demand, constants: c }: Given): number {
  const limits = { maxBackpressureBytes: c.stalledBuffer, maxPublicationBytes: demand.messageBytes };
  return slowReaderCost(limits, demand.subscriptions).user;
}

/** Publications that a topic remembers by serve's defaults: the least of the bounds by count, by age and by bytes. */
function rememberedOf(given: Given, { perTopicPerSecond }: Traffic): number {
  if (perTopicPerSecond === 0) return 0;
  const byAge = Math.ceil(perTopicPerSecond * SERVE_OPTIONS.historySeconds.default);
  const byBytes = Math.ceil(SERVE_OPTIONS.historyBytes.default / pushBytesOf(given));
  return Math.min(SERVE_OPTIONS.historyCount.default, byAge, byBytes);
}

function deliveryMicros(given: Given, bothEnds: boolean): number {
  const { demand, constants: c } = given;
  const sealing = demand.tls ? c.tlsPerDelivery * (bothEnds ? 2 : 1) : 0;
  // The measured delivery carried 100 bytes of data.
  const bytes = (Math.max(0, demand.messageBytes - 100) / 1000) * c.deliveryPerKilobyte * (bothEnds ? 2 : 1);
  return (bothEnds ? c.deliveryBothEnds : c.delivery) + sealing + bytes;
}

function cpuOf(given: Given, n: number, traffic: Traffic) {
  const { demand, constants: c } = given;
  const perDelivery = deliveryMicros(given, demand.clientsHere);
  const perBeat = c.heartbeat * (demand.clientsHere ? 2 : 1);
  const hub = (traffic.publicationsPerSecond * (c.publication + traffic.workersOfTopic * c.publicationPerWorker)) / 1e6;
  const parts = {
    deliveries: (traffic.deliveriesPerSecond * perDelivery) / 1e6,
    beats: (traffic.beatsPerSecond * perBeat) / 1e6,
    timers: (n * c.timerSweep) / SWEEP_SECONDS / 1e6,
    hub,
    takingIn: (traffic.publicationsPerSecond * traffic.workersOfTopic * c.publicationInWorker) / 1e6,
  };
  return { ...parts, perDelivery, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}

function networkOf(given: Given, traffic: Traffic) {
  const { tls, clientsHere } = given.demand;
  const push = onWire(pushBytesOf(given), tls);
  const asked = onWire(HEARTBEAT_BYTES, tls, true);
  const answered = onWire(HEARTBEAT_BYTES, tls);
  const { deliveriesPerSecond: pushes, beatsPerSecond: beats } = traffic;
  // Loopback uses no network card.
  const card = clientsHere ? 0 : 1;
  const outBytes = pushes * push.bytes + beats * answered.bytes;
  // One acknowledgement for each push and each answer: pushes to one client are too far apart to share one.
  const inBytes = (pushes + beats) * ACK_WIRE_BYTES + beats * asked.bytes;
  return {
    wireBytesOfPush: push.bytes,
    packetsOut: card * (pushes * push.packets + beats * answered.packets),
    packetsIn: card * (pushes + beats + beats * asked.packets),
    outGbit: (card * outBytes * 8) / 1e9,
    inGbit: (card * inBytes * 8) / 1e9,
  };
}

function timesOf(given: Given, n: number, { workers, traffic }: { workers: number; traffic: Traffic }) {
  const { demand, machine, constants: c } = given;
  const both = demand.clientsHere;
  const sending = (subscribers: number): number => {
    const cpu = (subscribers * deliveryMicros(given, both)) / Math.min(machine.cores, subscribers) / 1e6;
    const bits = both ? 0 : subscribers * onWire(pushBytesOf(given), demand.tls).bytes * 8;
    return Math.max(cpu, bits / (machine.nicGbit * 1e9));
  };
  const connect = (both ? c.connectBothEnds : c.connect) + (demand.tls ? c.tlsHandshake * (both ? 2 : 1) : 0);
  return {
    oneToTopicSeconds: sending(traffic.subscribersOfTopic),
    oneToAllSeconds: sending(n),
    workerBusySeconds: ((n / workers) * deliveryMicros(given, false)) / 1e6,
    reconnectPerSecond: (machine.cores * 1e6) / connect,
    reconnectSeconds: (n * connect) / machine.cores / 1e6,
    drainSeconds: (n * (both ? c.goodbyeBothEnds : c.goodbye)) / machine.cores / 1e6,
    windowSeconds: Math.max(1, n / (RETURN_RATE_PER_CORE * machine.cores)),
  };
}
