/**
 * Entry file of a worker process: one uWebSockets app, its sockets, and replicas of the topics that they want.
 * Forked directly by the supervisor, so that a worker loads its own half only (no zod, yaml, pino, prom-client).
 *
 *   clients ─► Server ─► Sessions ─► Topics ◄─ Link ◄─unix socket─ hub
 *                                      └── interest: the only thing that flows back, as callbacks
 */
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { Admission } from "../admission/admission.js";
import { returnRate } from "../admission/budget.js";
import { ReconnectWindow } from "../admission/reconnect-window.js";
import { monotonicMs } from "../clock.js";
import { topicMemoryBytes } from "../config/capacity.js";
import { advisedHeartbeatMs } from "../config/idle.js";
import { type DrainOptions, drainClients } from "../drain/goodbye.js";
import { openDescriptors, untilClientsAreGone, untilNoHandshake } from "../drain/worker-exit.js";
import { Link } from "../hub/link.js";
import {
  ADDRESSES_A_FRAME,
  type FollowRefused,
  fromWire,
  type Pushed,
  type Question,
  type Reply,
  type TopicSync,
  type Unserved,
} from "../hub/wire.js";
import { forwardedLog } from "../log.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { retryEvent } from "../protocol/messages.js";
import { Sessions } from "../session/session.js";
import type { Waiter } from "../session/subscriptions.js";
import { Listener } from "../socket/listener.js";
import { createApp, type TemplatedApp } from "../socket/native.js";
import { Server } from "../socket/server.js";
import { type StartWorker, type ToChild, tell } from "../supervision/control-channel.js";
import { TopicRules } from "../topics/rules.js";
import { Topics } from "../topics/topics.js";
import { CannotStart, type Running, runChild } from "./child.js";

const EVERY_MS = 1000;
const ADDRESSES_EVERY_MS = 100;
const log = forwardedLog({ process: "worker" });

runChild<StartWorker>("startWorker", log, start);

async function start(given: StartWorker): Promise<Running> {
  const { config, index } = given;
  const app = createApp();
  const rules = new TopicRules(config, config.topicRules);
  const topics: Topics<Waiter> = new Topics<Waiter>(
    {
      follow: (topic, request, position) =>
        link.send({ type: "follow", topic, request, ...(position && at(position)) }),
      unfollow: (topic) => link.send({ type: "unfollow", topic }),
      relinked: () => link.send({ type: "relinked" }),
      compare: (names) => link.send({ type: "compare", topics: names }),
      publish: (topic, message) => push(app, topic, message),
      subscribers: (topic) => app.numSubscribers(topic) + sessions.parking.count(topic),
      ready: (topic, waiting, timedOut) => sessions.following.ready(topic, waiting, timedOut),
      reset: (topic) => sessions.following.reset(topic, (message) => push(app, topic.name, message)),
      failed: (topic, waiting, why) => sessions.following.failed(topic, waiting, why),
    },
    rules,
    {
      lingerMs: config.topicLingerSeconds * 1000,
      maxIdle: config.maxIdleTopics,
      memoryBytes: topicMemoryBytes(config),
    },
  );
  const sessions = new Sessions(topics, config);
  const listener = new Listener(app, {
    host: config.host,
    backlog: config.backlog,
    cap: given.cap,
    overflow: given.overflow,
    nofile: given.nofile,
    onFull: (full) => tell({ type: "full", full }),
    log: (level, message, fields) => log(level, message, { worker: index, ...fields }),
  });
  const admission = new Admission({ ...given, ticketKey: Buffer.from(given.ticketKey, "hex") });
  const server = new Server(
    app,
    listener,
    sessions,
    admission,
    (topic) => topics.emptied(topic, monotonicMs()),
    config,
  );
  const reply = (asked: Question): Pick<Reply, "subscribers" | "counts" | "readers"> => {
    if ("topics" in asked) return { counts: asked.topics.map((topic) => topics.subscribers(topic)) };
    if ("topic" in asked) return { subscribers: topics.subscribers(asked.topic) };
    return "slowest" in asked ? { readers: sessions.slow.worst(asked.slowest) } : {};
  };
  const { link, welcomed } = dial(given, topics, admission, reply);
  await welcomed;
  if (!listener.open(given.port)) throw new CannotStart(`cannot listen on ${config.host}:${given.port}`);
  const reconnectWindow = new ReconnectWindow();
  const heartbeatMs = advisedHeartbeatMs(config.idleTimeoutSeconds);
  const ticking = everySecond(admission, () => {
    count(link, topics, listener, sessions);
    announceReconnectWindow({ reconnectWindow, admission, sessions, heartbeatMs });
  });
  const ownDescriptors = openDescriptors();
  const reporting = reportAddresses(link, admission);
  let orphaned = given.drain;
  // Before the banner: who reads it may ask /readyz at once, and the hub knows only what it was told that listens.
  count(link, topics, listener, sessions);
  tell({ type: "ready" });

  return {
    handle(message: ToChild): void {
      if (message.type === "overflow") listener.setOverflow(message.on);
      else if (message.type === "budget") {
        admission.budget(message.rate, message.windowMs);
        orphaned = { ...orphaned, perSecond: returnRate(message.rate) };
      }
    },
    async stop(drain: DrainOptions = orphaned): Promise<void> {
      listener.stop();
      await untilNoHandshake(() => counters[SLOT.handshakes]!);
      server.draining = true;
      const windowMs = await drainClients(sessions, drain);
      tell({ type: "farewell", windowMs });
      await untilClientsAreGone(ownDescriptors);
      clearInterval(ticking);
      clearInterval(reporting);
      // So that the hub's totals are exact, and nobody is counted as lost.
      count(link, topics, listener, sessions);
      await link.stop();
    },
  };
}

/** `welcomed` resolves when the hub has been reached for the first time: a worker without one could answer nobody. */
function dial(
  given: StartWorker,
  topics: Topics<Waiter>,
  { addresses }: Admission,
  reply: (asked: Question) => Pick<Reply, "subscribers" | "counts" | "readers">,
): { readonly link: Link; readonly welcomed: Promise<void> } {
  let onWelcome: () => void = () => undefined;
  let onRefused: (error: CannotStart) => void = () => undefined;
  const welcomed = new Promise<void>((resolve, reject) => {
    onWelcome = resolve;
    onRefused = reject;
  });
  const link: Link = new Link({
    path: given.path,
    token: given.token,
    worker: given.index,
    onLost: () => {
      counters[SLOT.linkLost]! += 1;
      topics.unlink();
    },
    onFrame: (frame) => {
      switch (frame.type) {
        case "ask":
          link.send({ type: "reply", id: frame.id, ...reply(frame.question) });
          return undefined;
        case "welcome":
          onWelcome();
          topics.relink();
          addresses?.relinked();
          // What was counted last: a new hub must not wait a second to hear that somebody listens.
          link.send({ type: "counters", values: counters });
          return undefined;
        case "atLimit":
          addresses?.heard(frame.yes, frame.no);
          return undefined;
        case "refused":
          log("error", `the hub refuses this worker: ${frame.reason}`);
          onRefused(new CannotStart(frame.reason));
          return undefined;
        default:
          return received(topics, frame);
      }
    },
    log,
  });
  return { link, welcomed };
}

/** Counts of client addresses to the hub; undefined where nothing limits them, or this worker is the only one. */
function reportAddresses(link: Link, { addresses }: Admission): NodeJS.Timeout | undefined {
  if (!addresses?.areReported) return undefined;
  return setInterval(() => {
    const counts = link.up ? addresses.report(ADDRESSES_A_FRAME) : [];
    if (counts.length > 0) link.send({ type: "addresses", counts });
  }, ADDRESSES_EVERY_MS);
}

/** What concerns topics. */
function received(
  topics: Topics<Waiter>,
  frame: Pushed | TopicSync | FollowRefused | Unserved,
): Iterable<void> | undefined {
  switch (frame.type) {
    case "publication":
      topics.deliver(frame);
      return undefined;
    case "topicSync":
      return topics.topicSync(frame.topic, { ...frame, history: fromWire(frame.history) });
    case "followRefused":
      topics.followRefused(frame.topic, frame.request);
      return undefined;
    case "unserved":
      log("error", "the hub did not serve topics that are followed here; asked for again", {
        topics: frame.topics.length,
      });
      topics.notServed(frame.topics);
      return undefined;
    default:
      counters[SLOT.unknownFrames]! += 1;
      return frame satisfies never;
  }
}

const at = ({ epoch, offset }: { epoch: string; offset: number }) => ({ epoch, offset });

/** To every native subscriber, in one call. */
function push(app: TemplatedApp, topic: string, message: Uint8Array): void {
  const subscribers = app.numSubscribers(topic);
  if (!app.publish(topic, message, false)) return;
  counters[SLOT.pushes]! += subscribers;
  counters[SLOT.messagesOut]! += subscribers;
  counters[SLOT.bytesOut]! += subscribers * message.length;
}

/** Counters to the hub, forgotten topics, event-loop delay: one timer for the whole worker. */
function everySecond(admission: Admission, act: () => void): NodeJS.Timeout {
  // 100 ms: at 10 ms, 56 workers cost an eighth of a core (DESIGN.md §6).
  const delay = monitorEventLoopDelay({ resolution: 100 });
  delay.enable();
  let used = performance.eventLoopUtilization();
  return setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { active, utilization } = performance.eventLoopUtilization(now, used);
    used = now;
    admission.tick(utilization, monotonicMs());
    counters[SLOT.busySeconds]! += active / 1000;
    counters[SLOT.loopLagMax] = Math.max(0, delay.max / 1e9 - 0.1);
    delay.reset();
    act();
  }, EVERY_MS);
}

interface ReconnectAnnouncement {
  readonly reconnectWindow: ReconnectWindow;
  readonly admission: Admission;
  readonly sessions: Sessions;
  readonly heartbeatMs: number | undefined;
}

/** Clients learn early how to come back if this process dies without a word; where they are many, how seldom to ask too. */
function announceReconnectWindow({ reconnectWindow, admission, sessions, heartbeatMs }: ReconnectAnnouncement): void {
  const isNews = reconnectWindow.update(admission.windowMs, monotonicMs());
  sessions.greeting =
    reconnectWindow.windowMs === undefined ? undefined : retryEvent(reconnectWindow.windowMs, heartbeatMs);
  if (isNews && sessions.greeting) void sessions.tellAll(sessions.greeting);
}

function count(link: Link, topics: Topics<Waiter>, listener: Listener, sessions: Sessions): void {
  const nowMs = monotonicMs();
  topics.sweep(nowMs);
  sessions.tick(nowMs);
  counters[SLOT.connections] = sessions.size;
  counters[SLOT.listening] = listener.listening ? 1 : 0;
  counters[SLOT.workerTopics] = topics.size;
  counters[SLOT.workerTopicMemory] = topics.memoryBytes;
  counters[SLOT.waitingSubscribers] = topics.waiting;
  counters[SLOT.topicsUnserved] = topics.unserved;
  counters[SLOT.staleSyncs] = topics.staleSyncs;
  link.send({ type: "counters", values: counters });
}
