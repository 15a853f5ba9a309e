/**
 * Entry file of a worker process: one uWebSockets app, its sockets, and replicas of the topics that they follow.
 * Forked directly by the supervisor, so that a worker loads its own half only (no zod, yaml, pino, prom-client).
 *
 *   clients ─► Server ─► Sessions ─► Topics ◄─ Link ◄─unix socket─ hub
 *                                      └── which topics are followed: the only thing that flows back, as callbacks
 */
import { type IntervalHistogram, monitorEventLoopDelay, performance } from "node:perf_hooks";
import { Admission } from "../admission/admission.js";
import { Authentication } from "../admission/authentication.js";
import { returnRate } from "../admission/budget.js";
import { ReconnectWindow } from "../admission/reconnect-window.js";
import { monotonicMs } from "../clock.js";
import { topicMemoryBytes } from "../config/capacity.js";
import { advisedHeartbeatMs } from "../config/idle.js";
import { type DrainOptions, drainClients } from "../drain/goodbye.js";
import { openDescriptors, untilClientsAreGone, untilNoHandshake } from "../drain/worker-exit.js";
import { Link } from "../hub/link.js";
import { ADDRESSES_A_FRAME, fromWire, type Reply, type ToWorker, type WorkerQuestion } from "../hub/wire.js";
import { forwardedLog } from "../log.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { retryEvent } from "../protocol/messages.js";
import { Sessions } from "../session/session.js";
import type { Waiter } from "../session/subscriptions.js";
import { Listener } from "../socket/listener.js";
import { createApp, type TemplatedApp } from "../socket/native.js";
import { NativePublish } from "../socket/publish.js";
import { Server } from "../socket/server.js";
import { report, type StartWorker, type Stop, type WorkerCommand } from "../supervision/control-channel.js";
import { TopicRules } from "../topics/rules.js";
import { Topics } from "../topics/topics.js";
import { CannotStart, type RunningChild, runChild } from "./child.js";

const TICK_MS = 1000;
const ADDRESSES_EVERY_MS = 100;
/** Sampling every 10 ms cost 56 workers an eighth of a core together (measured). */
const LOOP_DELAY_RESOLUTION_MS = 100;
const log = forwardedLog({ process: "worker" });

class WorkerProcess implements RunningChild<WorkerCommand> {
  readonly #given: StartWorker;
  readonly #app: TemplatedApp = createApp();
  readonly #native = new NativePublish(this.#app);
  readonly #topics: Topics<Waiter>;
  readonly #sessions: Sessions;
  readonly #listener: Listener;
  readonly #admission: Admission;
  readonly #server: Server;
  readonly #link: Link;
  /** Resolves when the hub has been reached for the first time: a worker without one could answer nobody. */
  readonly #welcomed: Promise<void>;
  #onWelcome!: () => void;
  #onRefused!: (error: CannotStart) => void;
  readonly #reconnectWindow = new ReconnectWindow();
  readonly #loopDelay: IntervalHistogram = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
  #loopUse = performance.eventLoopUtilization();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Descriptors of this process without any client. */
  #ownDescriptors = 0;
  /** How it sends its clients away when the supervisor is gone. */
  #drainAlone: DrainOptions;

  constructor(given: StartWorker) {
    this.#given = given;
    this.#drainAlone = given.drain;
    this.#topics = this.#createTopics();
    this.#sessions = new Sessions(this.#topics, given.config);
    this.#listener = this.#createListener();
    this.#admission = new Admission({ ...given, ticketKey: Buffer.from(given.ticketKey, "hex") });
    this.#server = new Server({
      app: this.#app,
      listener: this.#listener,
      sessions: this.#sessions,
      admission: this.#admission,
      authentication: given.authKeys.length > 0 ? new Authentication(given.authKeys, given.config) : undefined,
      topicEmptied: (topic) => this.#topics.emptied(topic, monotonicMs()),
      config: given.config,
    });
    this.#welcomed = new Promise<void>((resolve, reject) => {
      this.#onWelcome = resolve;
      this.#onRefused = reject;
    });
    this.#link = new Link({
      path: given.path,
      token: given.token,
      worker: given.index,
      onLost: () => {
        counters[SLOT.linkLost]! += 1;
        this.#topics.unlink();
      },
      onFrame: (frame) => this.#onFrame(frame),
      log,
    });
  }

  #createTopics(): Topics<Waiter> {
    const { config } = this.#given;
    return new Topics<Waiter>({
      deps: {
        follow: (topic, request, position) =>
          this.#link.send({
            type: "follow",
            topic,
            request,
            ...(position && { epoch: position.epoch, offset: position.offset }),
          }),
        unfollow: (topic) => this.#link.send({ type: "unfollow", topic }),
        relinked: () => this.#link.send({ type: "relinked" }),
        compare: (names) => this.#link.send({ type: "compare", topics: names }),
        publish: (topic, message) => this.#native.publish(topic, message),
        subscribers: (topic) => this.#native.subscribers(topic) + this.#sessions.parking.count(topic),
        ready: (topic, waiting, timedOut) => this.#sessions.subscriptions.ready(topic, waiting, timedOut),
        reset: (topic) =>
          this.#sessions.subscriptions.reset(topic, (message) => this.#native.publish(topic.name, message)),
        failed: (topic, waiting, why) => this.#sessions.subscriptions.failed(topic, waiting, why),
      },
      rules: new TopicRules(config, config.topicRules),
      limits: {
        lingerMs: config.topicLingerSeconds * 1000,
        maxIdle: config.maxIdleTopics,
        memoryBytes: topicMemoryBytes(config),
      },
    });
  }

  #createListener(): Listener {
    const { config, index, cap, overflow, nofile } = this.#given;
    return new Listener({
      app: this.#app,
      host: config.host,
      backlog: config.backlog,
      cap,
      overflow,
      nofile,
      onFull: (full) => report({ type: "full", full }),
      log: (level, message, fields) => log(level, message, { worker: index, ...fields }),
    });
  }

  async start(): Promise<void> {
    await this.#welcomed;
    const { config, port } = this.#given;
    if (!this.#listener.open(port)) throw new CannotStart(`cannot listen on ${config.host}:${port}`);
    this.#ownDescriptors = openDescriptors();
    this.#loopDelay.enable();
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
    if (this.#admission.addresses?.areReported === true)
      this.#timers.push(setInterval(() => this.#reportAddresses(), ADDRESSES_EVERY_MS));
    // Counters before "ready": a script may ask /readyz as soon as it sees the banner, and the hub knows from counters who listens.
    this.#sendCounters();
    report({ type: "ready" });
  }

  #onFrame(frame: ToWorker): Iterable<void> | undefined {
    switch (frame.type) {
      case "ask":
        this.#link.send({ type: "reply", id: frame.id, ...this.#answer(frame.question) });
        return undefined;
      case "welcome":
        this.#onWelcome();
        this.#topics.relink();
        this.#admission.addresses?.relinked();
        // The last counts: a new hub must not wait a second to learn that somebody listens.
        this.#link.send({ type: "counters", values: counters });
        return undefined;
      case "atLimit":
        this.#admission.addresses?.updateAtLimit(frame.yes, frame.no);
        return undefined;
      case "refused":
        log("error", `the hub refuses this worker: ${frame.reason}`);
        this.#onRefused(new CannotStart(frame.reason));
        return undefined;
      case "publication":
        this.#topics.deliver(frame);
        return undefined;
      case "topicSync":
        return this.#topics.topicSync(frame.topic, { ...frame, history: fromWire(frame.history) });
      case "followRefused":
        this.#topics.followRefused(frame.topic, frame.request);
        return undefined;
      case "unserved":
        log("error", "the hub did not serve topics that are followed here; asked for again", {
          topics: frame.topics.length,
        });
        this.#topics.notServed(frame.topics);
        return undefined;
      default:
        counters[SLOT.unknownFrames]! += 1;
        return frame satisfies never;
    }
  }

  #answer(question: WorkerQuestion): Pick<Reply, "subscribers" | "counts" | "readers"> {
    if ("topics" in question) return { counts: question.topics.map((topic) => this.#topics.subscribers(topic)) };
    if ("topic" in question) return { subscribers: this.#topics.subscribers(question.topic) };
    return { readers: this.#sessions.slow.worst(question.slowest) };
  }

  /** Once a second, one timer for the whole worker. */
  #tick(): void {
    const use = performance.eventLoopUtilization();
    const { active, utilization } = performance.eventLoopUtilization(use, this.#loopUse);
    this.#loopUse = use;
    this.#admission.tick(utilization, monotonicMs());
    counters[SLOT.busySeconds]! += active / 1000;
    counters[SLOT.loopLagMax] = Math.max(0, (this.#loopDelay.max / 1e6 - LOOP_DELAY_RESOLUTION_MS) / 1000);
    this.#loopDelay.reset();
    this.#sendCounters();
    this.#announceReconnectWindow();
  }

  #sendCounters(): void {
    const nowMs = monotonicMs();
    const topics = this.#topics;
    topics.sweep(nowMs);
    this.#sessions.tick(nowMs);
    counters[SLOT.connections] = this.#sessions.size;
    counters[SLOT.listening] = this.#listener.listening ? 1 : 0;
    counters[SLOT.workerTopics] = topics.size;
    counters[SLOT.workerTopicMemory] = topics.memoryBytes;
    counters[SLOT.waitingSubscribers] = topics.waiting;
    counters[SLOT.topicsUnserved] = topics.unserved;
    counters[SLOT.staleSyncs] = topics.staleSyncs;
    this.#link.send({ type: "counters", values: counters });
  }

  /** Tells clients in advance in which window to reconnect if this worker dies, and in a large gateway to send heartbeats less often. */
  #announceReconnectWindow(): void {
    const hasChanged = this.#reconnectWindow.update(this.#admission.windowMs, monotonicMs());
    const { windowMs } = this.#reconnectWindow;
    const heartbeatMs = advisedHeartbeatMs(this.#given.config.idleTimeoutSeconds);
    const greeting = windowMs === undefined ? undefined : retryEvent(windowMs, heartbeatMs);
    this.#sessions.greeting = greeting;
    if (hasChanged && greeting) void this.#sessions.broadcastBestEffort(greeting);
  }

  /** Connections of each client address, where addresses are limited and other workers count them too. */
  #reportAddresses(): void {
    const counts = this.#link.up ? this.#admission.addresses!.report(ADDRESSES_A_FRAME) : [];
    if (counts.length > 0) this.#link.send({ type: "addresses", counts });
  }

  handle(message: Exclude<WorkerCommand, StartWorker | Stop>): void {
    switch (message.type) {
      case "overflow":
        this.#listener.setOverflow(message.on);
        break;
      case "budget":
        this.#admission.setBudget(message.rate, message.windowMs);
        this.#drainAlone = { ...this.#drainAlone, perSecond: returnRate(message.rate) };
        break;
      default:
        message satisfies never;
    }
  }

  async stop(drain: DrainOptions = this.#drainAlone): Promise<void> {
    this.#listener.stop();
    await untilNoHandshake(() => counters[SLOT.handshakes]!);
    this.#server.draining = true;
    const windowMs = await drainClients(this.#sessions, drain);
    report({ type: "drained", windowMs });
    await untilClientsAreGone(this.#ownDescriptors);
    for (const timer of this.#timers) clearInterval(timer);
    // So that the hub's totals are exact, and nobody is counted as lost.
    this.#sendCounters();
    await this.#link.stop();
  }
}

runChild<StartWorker, WorkerCommand>("startWorker", log, async (given) => {
  const worker = new WorkerProcess(given);
  await worker.start();
  return worker;
});
