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
import { Outlook } from "../admission/outlook.js";
import { fitting } from "../hub/image.js";
import { Link } from "../hub/link.js";
import {
  ADDRESSES_A_FRAME,
  fromWire,
  MAX_FRAME_BYTES,
  type Question,
  type Reply,
  type ToWorker,
  toWire,
} from "../hub/wire.js";
import { forwardedLog } from "../log.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { type Farewell, sayFarewell } from "../session/farewell.js";
import { retryEvent } from "../session/protocol.js";
import { Sessions } from "../session/session.js";
import type { Waiter } from "../session/waiting.js";
import { Listener } from "../socket/listener.js";
import { createApp, type TemplatedApp } from "../socket/native.js";
import { Server } from "../socket/server.js";
import { TopicRules } from "../topics/rules.js";
import { Topics } from "../topics/topics.js";
import { CannotStart, type Running, runChild } from "./child.js";
import { openDescriptors, untilClientsAreGone, untilNoHandshake } from "./leaving.js";
import { type StartWorker, type ToChild, tell } from "./messages.js";

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
      want: (topic, position) => link.send({ type: "want", topic, ...(position && at(position)) }),
      unwant: (topic) => link.send({ type: "unwant", topic }),
      publish: (topic, message) => push(app, topic, message),
      subscribers: (topic) => app.numSubscribers(topic) + sessions.parking.count(topic),
      arrived: (topic, waiting, inVain) => sessions.following.arrived(topic, waiting, inVain),
      reset: (topic) => sessions.following.reset(topic, (message) => push(app, topic.name, message)),
      gaveUp: (topic, waiting) => sessions.following.gaveUp(topic, waiting),
    },
    rules,
    config.topicLingerSeconds * 1000,
    config.maxIdleTopics,
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
  const server = new Server(app, listener, sessions, admission, (topic) => topics.emptied(topic, Date.now()), config);
  const reply = (asked: Question): Pick<Reply, "subscribers" | "readers"> => {
    if ("topic" in asked) return { subscribers: topics.subscribers(asked.topic) };
    return "slowest" in asked ? { readers: sessions.slow.worst(asked.slowest) } : {};
  };
  const link = await linked(given, topics, admission, reply);
  if (!listener.open(given.port)) throw new CannotStart(`cannot listen on ${config.host}:${given.port}`);
  const outlook = new Outlook();
  const ticking = everySecond(admission, () => {
    count(link, topics, listener, sessions);
    foretell(outlook, admission, sessions);
  });
  const ownDescriptors = openDescriptors();
  const reporting = reportAddresses(link, admission);
  let orphaned = given.farewell;
  tell({ type: "ready" });

  return {
    handle(message: ToChild): void {
      if (message.type === "overflow") listener.setOverflow(message.on);
      else if (message.type === "budget") {
        admission.budget(message.rate, message.windowMs);
        orphaned = { ...orphaned, perSecond: returnRate(message.rate) };
      }
    },
    async stop(farewell: Farewell = orphaned): Promise<void> {
      listener.stop();
      await untilNoHandshake(() => counters[SLOT.handshakes]!);
      server.draining = true;
      const windowMs = await sayFarewell(sessions, farewell);
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

/** Resolves when the hub has been reached for the first time: a worker without one could answer nobody. */
function linked(
  given: StartWorker,
  topics: Topics<Waiter>,
  { addresses }: Admission,
  reply: (asked: Question) => Pick<Reply, "subscribers" | "readers">,
): Promise<Link> {
  return new Promise((resolve) => {
    const link: Link = new Link({
      path: given.path,
      worker: given.index,
      onLost: () => {
        counters[SLOT.linkLost]! += 1;
      },
      onFrame: (frame) => {
        if (frame.type === "ask") {
          link.send({ type: "reply", id: frame.id, ...reply(frame.question) });
        } else if (frame.type === "welcome") {
          resolve(link);
          if (frame.rebuild) offerAll(link, topics);
          topics.relink();
          addresses?.relinked();
        } else if (frame.type === "atLimit") addresses?.heard(frame.yes, frame.no);
        else return received(topics, frame);
        return undefined;
      },
      log,
    });
  });
}

/** The hub lost its memory: it gets every replica of this worker. */
function offerAll(link: Link, topics: Topics<Waiter>): void {
  for (const { name: topic, epoch, offset, memory } of topics.replicas()) {
    const history = toWire(fitting(memory.all(), memory.stateSizeWith(undefined, ""), MAX_FRAME_BYTES));
    link.send({ type: "offer", topic, epoch, offset, history, state: memory.state });
  }
  link.send({ type: "offered" });
}

/** Counts of client addresses to the hub; undefined where nothing limits them, or this worker is the only one. */
function reportAddresses(link: Link, { addresses }: Admission): NodeJS.Timeout | undefined {
  if (!addresses?.areReported) return undefined;
  return setInterval(() => {
    const counts = link.up ? addresses.report(ADDRESSES_A_FRAME) : [];
    if (counts.length > 0) link.send({ type: "addresses", counts });
  }, ADDRESSES_EVERY_MS);
}

function received(topics: Topics<Waiter>, frame: ToWorker): Iterable<void> | undefined {
  switch (frame.type) {
    case "publication":
      topics.deliver(frame);
      break;
    case "standing":
      return topics.standing(frame.topic, { ...at(frame), history: fromWire(frame.history), state: frame.state });
    default:
      counters[SLOT.unknownFrames]! += 1;
  }
  return undefined;
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
    admission.tick(utilization, Date.now());
    counters[SLOT.busySeconds]! += active / 1000;
    counters[SLOT.loopLagMax] = Math.max(0, delay.max / 1e9 - 0.1);
    delay.reset();
    act();
  }, EVERY_MS);
}

/** Clients learn early how to come back if this process dies without a word. */
function foretell(outlook: Outlook, admission: Admission, sessions: Sessions): void {
  const isNews = outlook.look(admission.windowMs, Date.now());
  sessions.greeting = outlook.windowMs === undefined ? undefined : retryEvent(outlook.windowMs);
  if (isNews && sessions.greeting) void sessions.tellAll(sessions.greeting);
}

function count(link: Link, topics: Topics<Waiter>, listener: Listener, sessions: Sessions): void {
  topics.sweep(Date.now());
  sessions.tick(Date.now());
  counters[SLOT.connections] = sessions.size;
  counters[SLOT.listening] = listener.listening ? 1 : 0;
  counters[SLOT.workerTopics] = topics.size;
  link.send({ type: "counters", values: counters });
}
