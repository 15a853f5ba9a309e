/**
 * Entry file of a worker process: one uWebSockets app, its sockets, and replicas of the topics that they want.
 * Forked directly by the supervisor, so that a worker loads its own half only (no zod, yaml, pino, prom-client).
 *
 *   clients ─► Server ─► Sessions ─► Topics ◄─ Link ◄─unix socket─ hub
 *                                      └── interest: the only thing that flows back, as callbacks
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Link } from "../hub/link.js";
import type { ToWorker } from "../hub/wire.js";
import { forwardedLog } from "../log.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { Sessions, type Waiter } from "../session/session.js";
import { Listener } from "../socket/listener.js";
import { createApp } from "../socket/native.js";
import { Server } from "../socket/server.js";
import { Topics } from "../topics/topics.js";
import { CannotStart, type Running, runChild } from "./child.js";
import { type StartWorker, type ToChild, tell } from "./messages.js";

const EVERY_MS = 1000;
/** After the last close frame: time for the kernel to hand it over before our exit could reset the connection. */
const FAREWELL_MS = 300;
const log = forwardedLog({ process: "worker" });

runChild<StartWorker>("startWorker", log, start);

async function start(given: StartWorker): Promise<Running> {
  const { config, index } = given;
  const app = createApp();
  const topics: Topics<Waiter> = new Topics<Waiter>(
    {
      want: (topic, position) => link.send({ type: "want", topic, ...(position && at(position)) }),
      unwant: (topic) => link.send({ type: "unwant", topic }),
      publish: (topic, message) =>
        countPush(app.numSubscribers(topic), message.length, app.publish(topic, message, false)),
      subscribers: (topic) => app.numSubscribers(topic),
      arrived: (topic, waiting) => sessions.arrived(topic, waiting),
      gaveUp: (topic, waiting) => sessions.gaveUp(topic, waiting),
    },
    config.topicLingerSeconds * 1000,
  );
  const sessions = new Sessions(topics, config);
  const listener = new Listener(app, {
    host: config.host,
    backlog: config.backlog,
    cap: given.cap,
    nofile: given.nofile,
    onFull: (full) => tell({ type: "full", full }),
    log: (level, message, fields) => log(level, message, { worker: index, ...fields }),
  });
  const server = new Server(app, listener, sessions, (topic) => topics.emptied(topic, Date.now()), config);
  const link = await linked(given, topics);
  if (!listener.open(given.port)) throw new CannotStart(`cannot listen on ${config.host}:${given.port}`);
  const ticking = everySecond(link, topics, listener, sessions);
  tell({ type: "ready" });

  return {
    handle(message: ToChild): void {
      if (message.type === "overflow") listener.setOverflow(message.on);
    },
    async stop(): Promise<void> {
      server.draining = true;
      listener.stop();
      await sessions.endAll(given.windowMs);
      await new Promise((resolve) => setTimeout(resolve, FAREWELL_MS));
      clearInterval(ticking);
      link.stop();
    },
  };
}

/** Resolves when the hub has been reached for the first time: a worker without one could answer nobody. */
function linked(given: StartWorker, topics: Topics<Waiter>): Promise<Link> {
  return new Promise((resolve) => {
    const link: Link = new Link({
      path: given.path,
      worker: given.index,
      onLink: () => {
        topics.relink();
        resolve(link);
      },
      onLost: () => {
        counters[SLOT.linkLost]! += 1;
      },
      onFrame: (frame) => received(topics, frame),
      log,
    });
  });
}

function received(topics: Topics<Waiter>, frame: ToWorker): void {
  switch (frame.type) {
    case "publication":
      topics.deliver(frame);
      break;
    case "standing":
      topics.standing(frame.topic, at(frame));
      break;
    default:
      counters[SLOT.unknownFrames]! += 1;
  }
}

const at = ({ epoch, offset }: { epoch: string; offset: number }) => ({ epoch, offset });

function countPush(subscribers: number, bytes: number, published: boolean): void {
  if (!published) return;
  counters[SLOT.pushes]! += subscribers;
  counters[SLOT.messagesOut]! += subscribers;
  counters[SLOT.bytesOut]! += subscribers * bytes;
}

/** Counters to the hub, forgotten topics, event-loop delay: one timer for the whole worker. */
function everySecond(link: Link, topics: Topics<Waiter>, listener: Listener, sessions: Sessions): NodeJS.Timeout {
  // 100 ms: at 10 ms, 56 workers cost an eighth of a core (DESIGN.md §6).
  const delay = monitorEventLoopDelay({ resolution: 100 });
  delay.enable();
  return setInterval(() => {
    topics.sweep(Date.now());
    counters[SLOT.connections] = sessions.size;
    counters[SLOT.listening] = listener.listening ? 1 : 0;
    counters[SLOT.workerTopics] = topics.size;
    counters[SLOT.loopLagMax] = Math.max(0, delay.max / 1e9 - 0.1);
    delay.reset();
    link.send({ type: "counters", values: counters });
  }, EVERY_MS);
}
