/**
 * The connections of one generator as clients that come back: who is away and why, when each dials again, and what became
 * of what it missed. Typed arrays by connection number, some 75 bytes each, no object or timer for any of them.
 * Runs in generators, for scenarios only. Sockets are connections.ts's, offsets positions.ts's, pauses backoff.ts's.
 *
 *   fresh ──opened──► open ──cut, lost, left──► waiting ──due──► dialling ──opened──► open
 *                                 └► gone          ▲────failed────┘
 */
import { monotonicMs } from "../generator/clock.js";
import type { Connections } from "../generator/connections.js";
import type { GeneratorConfig } from "../generator/messages.js";
import type { Message, Subscribed } from "../generator/protocol.js";
import { AwayStats } from "./absences.js";
import { pauseMs, STABLE_MS } from "./backoff.js";
import { Churn, sampleConnections } from "./churn.js";
import { TopicIdentities } from "./identities.js";
import { Latencies } from "./latencies.js";
import { Positions } from "./positions.js";
import { RedialQueue } from "./redial-queue.js";
import type { Part, Position, ReturnDuty, Step } from "./steps.js";
import { Wakeup } from "./wakeup.js";

/** Attempts begun in one turn, before pushes get theirs: each makes the kernel's whole TCP handshake. */
const BATCH = 32;
const PHASE = { fresh: 0, open: 1, waiting: 2, dialling: 3, gone: 4 } as const;

export class Reconnects {
  private readonly positions: Positions;
  private readonly awayStats: AwayStats;
  private readonly redialQueue: RedialQueue;
  private readonly phases: Uint8Array;
  private readonly attempts: Uint8Array;
  private readonly openedAtMs: Float64Array;
  private readonly orderedMs: Float64Array;
  /** What the gateway told for an end without a word. */
  private readonly toldMs: Float32Array;
  private mostToldMs = 0;
  private readonly latencies: Latencies;
  private readonly unused: number[];
  private readonly churn: Churn;
  readonly identities: TopicIdentities;
  private heads: readonly (Position | null)[] = [];
  private readonly wakeup: Wakeup;
  private stopped = false;
  private gone = 0;
  private dialling = 0;
  private paused = 0;
  private lastCaughtUpAtMs = 0;

  constructor(
    config: GeneratorConfig,
    private readonly reconnects: ReturnDuty,
    private readonly connections: () => Connections,
    wake: () => void,
  ) {
    const n = config.connections;
    this.wakeup = new Wakeup(wake);
    this.positions = new Positions(n);
    this.redialQueue = new RedialQueue(n);
    this.phases = new Uint8Array(n);
    this.attempts = new Uint8Array(n);
    this.awayStats = new AwayStats(n);
    this.openedAtMs = new Float64Array(n);
    this.orderedMs = new Float64Array(n).fill(Number.NaN);
    this.toldMs = new Float32Array(n);
    this.latencies = new Latencies(n);
    this.unused = Array.from({ length: n }, (_, i) => n - 1 - i);
    this.churn = new Churn(connections, wake);
    this.identities = new TopicIdentities(config, reconnects, this.positions);
  }

  /** The number of a connection that is opened for the first time. */
  fresh(): number {
    return this.unused.pop()!;
  }

  handle(step: Step): void {
    switch (step.kind) {
      case "window":
        this.latencies.window(step.index, step.atMs);
        this.awayStats.window(step.atMs);
        break;
      case "cut":
        sampleConnections(this.connections(), this.reconnects.first, step.share, (fd) => this.connections().cut(fd));
        break;
      case "churn":
        this.churn.begin(step.perSecond, step.forMs);
        break;
      case "pause":
        sampleConnections(this.connections(), this.reconnects.first, step.share, (fd, number) =>
          this.pause(fd, number),
        );
        break;
      case "resume":
        this.resume();
        break;
      case "heads":
        this.heads = step.heads;
        break;
    }
  }

  private pause(fd: number, number: number): void {
    this.latencies.touch(number);
    this.paused++;
    this.connections().pause(fd);
  }

  private resume(): void {
    this.paused = 0;
    const connections = this.connections();
    for (let fd = 0; fd < connections.top; fd++) if (connections.isOpen(fd)) connections.resume(fd);
  }

  /** No more leaving and coming back: the orderly close begins. */
  stop(): void {
    this.stopped = true;
    this.churn.stop();
    this.redialQueue.clear();
    this.wakeup.clear();
    this.resume();
  }

  // What connections do.

  /** True when it came back, false when it is new. */
  opened(number: number, answer: Subscribed): boolean {
    const nowMs = monotonicMs();
    this.openedAtMs[number] = nowMs;
    const back = this.phases[number] === PHASE.dialling;
    this.phases[number] = PHASE.open;
    if (!back) {
      this.positions.joined(number, answer);
      return false;
    }
    this.dialling--;
    this.awayStats.back(number, nowMs);
    this.latencies.touch(number);
    if (this.positions.rejoined(number, answer)) this.lastCaughtUpAtMs = nowMs;
    return true;
  }

  /** True when it was on its way back, false when it is for the ramp to try again. */
  failed(number: number, reason: string, retryAfterMs: number): boolean {
    if (this.phases[number] !== PHASE.dialling) {
      this.unused.push(number);
      return false;
    }
    this.dialling--;
    this.awayStats.refused(reason);
    this.away(number, reason, retryAfterMs);
    return true;
  }

  /** An open connection is no more; "left" when it asked to close. */
  ended(number: number, reason: string): void {
    const nowMs = monotonicMs();
    this.awayStats.left(number, reason, nowMs);
    this.positions.left(number);
    this.latencies.touch(number);
    if (nowMs - this.openedAtMs[number]! >= STABLE_MS) this.attempts[number] = 0;
    if (/^\d{4}$/.test(reason)) this.toldMs[number] = 0;
    this.away(number, reason, 0);
  }

  private away(number: number, reason: string, retryAfterMs: number): void {
    const attempts = this.attempts[number]!;
    const [orderedMs, toldMs] = [this.orderedMs[number]!, this.toldMs[number]!];
    const absence = { attempts, reason, orderedMs, toldMs, retryAfterMs };
    const afterMs = this.stopped ? null : pauseMs(this.reconnects.policy, this.reconnects.naiveMs, absence);
    this.orderedMs[number] = Number.NaN;
    this.attempts[number] = Math.min(attempts + 1, 255);
    if (afterMs === null) {
      this.phases[number] = PHASE.gone;
      this.gone++;
      return;
    }
    this.phases[number] = PHASE.waiting;
    this.redialQueue.set(number, monotonicMs() + afterMs);
    this.wakeup.atLatest(this.redialQueue.nextMs);
  }

  /** A message to an open connection; false when it is none that a scenario expects. */
  message(number: number, message: Message): boolean {
    if (message.kind === "push") {
      const nowMs = monotonicMs();
      if (this.positions.pushed(number, message)) this.lastCaughtUpAtMs = nowMs;
      this.latencies.record(number, message.publishedAtMs, nowMs);
      return true;
    }
    if (message.kind !== "event") return false;
    if (message.name === "goodbye") {
      const [from, to] = message.afterMs ?? [Number.NaN, Number.NaN];
      this.orderedMs[number] = from + Math.random() * (to - from);
      return true;
    }
    if (message.name === "retry") {
      this.toldMs[number] = message.afterMs?.[1] ?? 0;
      this.mostToldMs = Math.max(this.mostToldMs, this.toldMs[number]);
      return true;
    }
    if (message.name === "degraded" || message.name === "restored") return true;
    if (message.name !== "dropped" && message.name !== "reset") return false;
    if (this.positions.told(number, message)) this.lastCaughtUpAtMs = monotonicMs();
    return true;
  }

  /** Dials for those who are due. */
  turn(): void {
    if (this.redialQueue.waiting === 0) return;
    this.redialQueue.take(monotonicMs(), BATCH, (number) => {
      this.phases[number] = PHASE.dialling;
      this.dialling++;
      this.awayStats.dialled(number);
      this.connections().start(0, number);
    });
    this.wakeup.atLatest(this.redialQueue.nextMs);
  }

  /** Answers are awaited. */
  get expecting(): boolean {
    return this.dialling > 0 || this.churn.expecting;
  }

  /** Connections that are to come back, and open ones that have not got what they missed. */
  counts(): { away: number; owing: number } {
    return { away: this.redialQueue.waiting + this.dialling + this.churn.closing, owing: this.positions.owing };
  }

  get settled(): boolean {
    return this.redialQueue.waiting === 0 && !this.expecting && this.positions.owing === 0;
  }

  left(number: number): void {
    this.churn.left();
    this.ended(number, "left");
  }

  private readonly headOf = (number: number): Position | null => this.heads[this.identities.topicIndex(number)] ?? null;

  part(): Part {
    const { delivered, duplicates, gaps, lost, dropped, replaced, voided, resets } = this.positions;
    return {
      ...{ delivered, duplicates, gaps, lost, dropped, replaced, voided, resets },
      ...this.positions.behind((number) => this.phases[number] === PHASE.open && this.headOf(number)),
      ...this.awayStats.part(),
      gone: this.gone,
      mostToldMs: this.mostToldMs,
      paused: this.paused,
      latencies: this.latencies.encode(),
      lastCaughtUpAtMs: this.lastCaughtUpAtMs,
    };
  }
}
