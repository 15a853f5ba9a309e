/**
 * The connections of one generator as clients that reconnect: which are away and why, when each dials again, and whether it
 * received what it missed. Typed arrays by connection number, some 75 bytes each, no object or timer for a connection.
 * Runs in generators, for scenarios only. Owns no socket (connections.ts), no offset (positions.ts) and no pause (backoff.ts).
 *
 *   fresh ──opened──► open ──cut, lost, left──► waiting ──due──► dialling ──opened──► open
 *                                 └► gone          ▲────failed────┘
 */
import { monotonicMs } from "../generator/clock.js";
import type { Connections } from "../generator/connections.js";
import type { GeneratorConfig } from "../generator/messages.js";
import type { GatewayEvent, Message, Subscribed } from "../generator/protocol.js";
import { AwayStats } from "./absences.js";
import { pauseMs, STABLE_MS } from "./backoff.js";
import { Churn, sampleConnections } from "./churn.js";
import { TopicIdentities } from "./identities.js";
import { Latencies } from "./latencies.js";
import { Positions } from "./positions.js";
import { RedialQueue } from "./redial-queue.js";
import type { Position, ReconnectConfig, ScenarioPart, Step } from "./steps.js";
import { Wakeup } from "./wakeup.js";

/** Attempts begun in one turn of the poller, before it reads pushes: on loopback each runs the kernel's whole TCP handshake. */
const BATCH = 32;
const PHASE = { fresh: 0, open: 1, waiting: 2, dialling: 3, gone: 4 } as const;

/** The connections of the generator, as far as reconnecting uses them. */
export type ClientConnections = Pick<
  Connections,
  "top" | "isOpen" | "numberOf" | "start" | "close" | "cut" | "pause" | "resume"
>;

export interface ReconnectsOptions {
  readonly generator: GeneratorConfig;
  readonly config: ReconnectConfig;
  /** Called late: the connections are made after this. */
  readonly connections: () => ClientConnections;
  /** Wakes the poller, so that a turn follows. */
  readonly wake: () => void;
}

export class Reconnects {
  readonly #config: ReconnectConfig;
  readonly #connections: () => ClientConnections;
  readonly #positions: Positions;
  readonly #awayStats: AwayStats;
  readonly #redialQueue: RedialQueue;
  readonly #phases: Uint8Array;
  readonly #attempts: Uint8Array;
  readonly #openedAtMs: Float64Array;
  readonly #goodbyeDelayMs: Float64Array;
  /** The window of `retry`, for a disconnect without a close frame; 0 for none. */
  readonly #retryWindowMs: Float32Array;
  #maxRetryWindowMs = 0;
  readonly #latencies: Latencies;
  readonly #unused: number[];
  readonly #churn: Churn;
  readonly identities: TopicIdentities;
  #heads: readonly (Position | null)[] = [];
  readonly #wakeup: Wakeup;
  #stopped = false;
  #gone = 0;
  #dialling = 0;
  #paused = 0;
  #lastCaughtUpAtMs = 0;

  constructor({ generator, config, connections, wake }: ReconnectsOptions) {
    this.#config = config;
    this.#connections = connections;
    const n = generator.connections;
    this.#wakeup = new Wakeup(wake);
    this.#positions = new Positions(n);
    this.#redialQueue = new RedialQueue(n);
    this.#phases = new Uint8Array(n);
    this.#attempts = new Uint8Array(n);
    this.#awayStats = new AwayStats(n);
    this.#openedAtMs = new Float64Array(n);
    this.#goodbyeDelayMs = new Float64Array(n).fill(Number.NaN);
    this.#retryWindowMs = new Float32Array(n);
    this.#latencies = new Latencies(n);
    this.#unused = Array.from({ length: n }, (_, i) => n - 1 - i);
    this.#churn = new Churn(connections, wake);
    this.identities = new TopicIdentities(generator, config, this.#positions);
  }

  /** Takes the number of a connection that has not been open yet. */
  fresh(): number {
    return this.#unused.pop()!;
  }

  handle(step: Step): void {
    switch (step.type) {
      case "window":
        this.#latencies.window(step.index, step.atMs);
        this.#awayStats.window(step.atMs);
        break;
      case "cut":
        this.#sample(step.share, (fd) => this.#connections().cut(fd));
        break;
      case "churn":
        this.#churn.begin(step.perSecond, step.forMs);
        break;
      case "pause":
        this.#sample(step.share, (fd, number) => this.#pause(fd, number));
        break;
      case "resume":
        this.#resume();
        break;
      case "heads":
        this.#heads = step.heads;
        break;
    }
  }

  #sample(share: number, each: (fd: number, number: number) => void): void {
    sampleConnections({ connections: this.#connections(), first: this.#config.first, share }, each);
  }

  #pause(fd: number, number: number): void {
    this.#latencies.touch(number);
    this.#paused++;
    this.#connections().pause(fd);
  }

  #resume(): void {
    this.#paused = 0;
    const connections = this.#connections();
    for (let fd = 0; fd < connections.top; fd++) if (connections.isOpen(fd)) connections.resume(fd);
  }

  /** Stops churn and reconnects: the orderly close begins. */
  stop(): void {
    this.#stopped = true;
    this.#churn.stop();
    this.#redialQueue.clear();
    this.#wakeup.clear();
    this.#resume();
  }

  // Called by the generator, for events of connections.

  /** True when the connection reconnected, false when it is new. */
  opened(number: number, answer: Subscribed): boolean {
    const nowMs = monotonicMs();
    this.#openedAtMs[number] = nowMs;
    const back = this.#phases[number] === PHASE.dialling;
    this.#phases[number] = PHASE.open;
    if (!back) {
      this.#positions.joined(number, answer);
      return false;
    }
    this.#dialling--;
    this.#awayStats.back(number, nowMs);
    this.#latencies.touch(number);
    if (this.#positions.rejoined(number, answer)) this.#lastCaughtUpAtMs = nowMs;
    return true;
  }

  /** True when the attempt was a reconnect; false when the ramp must retry it. */
  failed(number: number, reason: string, retryAfterMs: number): boolean {
    if (this.#phases[number] !== PHASE.dialling) {
      this.#unused.push(number);
      return false;
    }
    this.#dialling--;
    this.#awayStats.refused(reason);
    this.#scheduleRedial(number, reason, retryAfterMs);
    return true;
  }

  /** An open connection has ended; the reason is "left" where this client closed it. */
  ended(number: number, reason: string): void {
    const nowMs = monotonicMs();
    this.#awayStats.left(number, reason, nowMs);
    this.#positions.left(number);
    this.#latencies.touch(number);
    if (nowMs - this.#openedAtMs[number]! >= STABLE_MS) this.#attempts[number] = 0;
    if (/^\d{4}$/.test(reason)) this.#retryWindowMs[number] = 0;
    this.#scheduleRedial(number, reason, 0);
  }

  #scheduleRedial(number: number, reason: string, retryAfterMs: number): void {
    const attempts = this.#attempts[number]!;
    const [goodbyeDelayMs, retryWindowMs] = [this.#goodbyeDelayMs[number]!, this.#retryWindowMs[number]!];
    const absence = { attempts, reason, goodbyeDelayMs, retryWindowMs, retryAfterMs };
    const afterMs = this.#stopped ? null : pauseMs(this.#config, absence);
    this.#goodbyeDelayMs[number] = Number.NaN;
    this.#attempts[number] = Math.min(attempts + 1, 255);
    if (afterMs === null) {
      this.#phases[number] = PHASE.gone;
      this.#gone++;
      return;
    }
    this.#phases[number] = PHASE.waiting;
    this.#redialQueue.set(number, monotonicMs() + afterMs);
    this.#wakeup.atLatest(this.#redialQueue.nextMs);
  }

  /** A message to an open connection; false for a message that a scenario does not expect. */
  message(number: number, message: Message): boolean {
    switch (message.type) {
      case "push": {
        const nowMs = monotonicMs();
        if (this.#positions.onPush(number, message)) this.#lastCaughtUpAtMs = nowMs;
        this.#latencies.record(number, message.publishedAtMs, nowMs);
        return true;
      }
      case "event":
        return this.#onEvent(number, message);
      case "subscribed":
      case "heartbeat":
      case "other":
        return false;
    }
  }

  #onEvent(number: number, event: GatewayEvent): boolean {
    switch (event.name) {
      case "goodbye": {
        const [from, to] = event.afterMs ?? [Number.NaN, Number.NaN];
        this.#goodbyeDelayMs[number] = from + Math.random() * (to - from);
        return true;
      }
      case "retry":
        this.#retryWindowMs[number] = event.afterMs?.[1] ?? 0;
        this.#maxRetryWindowMs = Math.max(this.#maxRetryWindowMs, this.#retryWindowMs[number]);
        return true;
      case "degraded":
      case "restored":
        return true;
      case "dropped":
      case "reset":
        if (this.#positions.onEvent(number, event)) this.#lastCaughtUpAtMs = monotonicMs();
        return true;
      default:
        return false;
    }
  }

  /** Begins the attempts that are due. */
  turn(): void {
    if (this.#redialQueue.waiting === 0) return;
    this.#redialQueue.take(monotonicMs(), BATCH, (number) => {
      this.#phases[number] = PHASE.dialling;
      this.#dialling++;
      this.#awayStats.dialled(number);
      this.#connections().start(0, number);
    });
    this.#wakeup.atLatest(this.#redialQueue.nextMs);
  }

  /** True while answers are awaited. */
  get expecting(): boolean {
    return this.#dialling > 0 || this.#churn.expecting;
  }

  /** Connections that will reconnect, and open ones that have not received yet what they missed. */
  counts(): { away: number; owing: number } {
    return { away: this.#redialQueue.waiting + this.#dialling + this.#churn.closing, owing: this.#positions.owing };
  }

  get settled(): boolean {
    return this.#redialQueue.waiting === 0 && !this.expecting && this.#positions.owing === 0;
  }

  left(number: number): void {
    this.#churn.left();
    this.ended(number, "left");
  }

  readonly #headOf = (number: number): Position | null => this.#heads[this.identities.topicIndex(number)] ?? null;

  part(): ScenarioPart {
    const { delivered, duplicates, gaps, lost, dropped, replaced, voided, resets } = this.#positions;
    return {
      ...{ delivered, duplicates, gaps, lost, dropped, replaced, voided, resets },
      ...this.#positions.behind((number) => this.#phases[number] === PHASE.open && this.#headOf(number)),
      ...this.#awayStats.part(),
      gone: this.#gone,
      maxRetryWindowMs: this.#maxRetryWindowMs,
      paused: this.#paused,
      latencies: this.#latencies.encode(),
      lastCaughtUpAtMs: this.#lastCaughtUpAtMs,
    };
  }
}
