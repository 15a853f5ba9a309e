/**
 * One run from start to evidence: ramp, hold with heartbeats, broadcasts, orderly close. Owns the order of the phases and
 * their findings; the generators do the work (generators.ts), and stop.ts notes when the run must stop. A run that must stop
 * skips the phases that are left, but never the close and the evidence. Runs in the coordinator process.
 */
import { randomBytes } from "node:crypto";
import { Curve } from "../attribution/curve.js";
import type { Moment, Observer } from "../attribution/observer.js";
import type { Plateau } from "../attribution/plateau.js";
import type { BroadcastEvidence, Evidence, Findings, GatewayCount } from "../evidence/evidence.js";
import { type GeneratorConfig, tallied } from "../generator/messages.js";
import { type ForkGenerator, Generators } from "./generators.js";
import {
  broadcast,
  compareCounts,
  holdConnections,
  merged,
  type PhaseContext,
  type RunContext,
  STALL_MS,
} from "./phases.js";
import { Progress, type ProgressOutput } from "./progress.js";
import { RunLimits } from "./stop.js";

const CLOSE_TIMEOUT_MS = 20_000;
/** Even a slow gateway closes this many a second. */
const SLOWEST_CLOSES_PER_SECOND = 5000;

/** The part of the evidence that a run measures by itself. */
export type MeasuredEvidence = Omit<
  Evidence,
  "schema" | "startedAt" | "url" | "host" | "plan" | "memory" | "verdict" | "reasons" | "remarks"
>;

export interface RunDeps {
  /** Samples kernel and gateway during the ramp, to name what stops it. */
  readonly observer: Observer;
  /** Starts one generator; by default a child process. */
  readonly forkGenerator?: ForkGenerator;
  /** Where progress is shown; by default stderr. */
  readonly progressOutput?: ProgressOutput;
}

export class Run implements PhaseContext {
  readonly #observer: Observer;
  readonly generators: Generators;
  readonly limits: RunLimits;
  readonly complaints: string[] = [];
  readonly runId = randomBytes(3).toString("hex");
  /** Open at the end of the ramp. */
  open = 0;
  readonly #broadcasts: BroadcastEvidence[] = [];
  readonly #curve = new Curve();
  readonly #progress: Progress;
  #handshakes = merged([]);
  #heartbeats = { asked: 0, ...merged([]) };
  #gatewayCount: GatewayCount | null = null;
  #rampSeconds = 0;
  #plateau: Plateau | null = null;
  #phase = "start";

  constructor(
    readonly context: RunContext,
    { observer, forkGenerator, progressOutput = process.stderr }: RunDeps,
  ) {
    this.#observer = observer;
    this.#progress = new Progress(progressOutput);
    this.generators = new Generators(configsOf(context, this.runId), forkGenerator);
    const { memoryFloor: memoryFloorBytes, timeLimitSeconds } = context.config;
    const hooks = { sample: () => this.#sample(), killNow: () => this.generators.kill() };
    this.limits = new RunLimits(context.host, { memoryFloorBytes, timeLimitSeconds }, hooks);
  }

  get stopped(): boolean {
    return this.limits.stop !== undefined;
  }

  /** Connections a second in the ramp; 0 before it. */
  get acceptPerSecond(): number {
    return this.#rampSeconds > 0 ? Math.round(this.open / this.#rampSeconds) : 0;
  }

  /** Forks the generators. */
  async start(): Promise<void> {
    this.enter("start");
    await this.generators.start();
  }

  /** Opens connections, a few generators at a time. */
  async rampUp(): Promise<void> {
    if (this.stopped) return;
    await this.#observer.begin();
    this.#curve.begin();
    this.enter("ramp");
    const { plan, config } = this.context;
    const ratePerSecond = config.rate / plan.lanes;
    const inFlight = Math.max(1, Math.ceil(plan.inFlight / plan.lanes));
    let next = 0;
    const settled = (): boolean => {
      let busy = 0;
      for (let i = 0; i < next; i++) if (this.generators.of(i).pending > 0) busy++;
      for (; busy < plan.lanes && next < this.generators.size; busy++) {
        this.generators.command(next++, { type: "ramp", ratePerSecond, inFlight });
      }
      return busy === 0;
    };
    const stallMs = Math.max(STALL_MS, 1.5 * config.connectTimeoutSeconds * 1000);
    const done = await this.limits.waitFor(settled, stallMs, () => this.generators.total().open);
    this.#rampSeconds = this.#curve.seconds;
    if (!done) await this.#giveUpRamp(stallMs);
    this.open = this.generators.total().open;
    this.#curve.add(this.open);
    this.#plateau = await this.#observer.conclude(this.#moment(), this.#curve);
    this.#handshakes = merged((await this.generators.collect("handshakes")).map((part) => part.histogram));
  }

  async #giveUpRamp(stallMs: number): Promise<void> {
    if (!this.stopped) {
      const { open, inFlight } = this.generators.total();
      const silence = `none of ${inFlight} in flight opened within ${stallMs / 1000} s`;
      this.complaints.push(`the ramp stalled at ${open} connections: ${silence}`);
      this.#rampSeconds -= stallMs / 1000;
    }
    this.generators.commandAll({ type: "halt" });
    await this.limits.waitThroughStop(() => this.generators.total().pending === 0, STALL_MS / 10);
  }

  /** Holds all connections while heartbeats flow, and compares the gateway's own count with ours. */
  async hold(): Promise<void> {
    if (this.stopped) return;
    this.enter("hold");
    [this.#gatewayCount, this.#heartbeats] = await Promise.all([compareCounts(this), holdConnections(this)]);
  }

  /** Publishes to all, one broadcast after the other. */
  async broadcastAll(): Promise<void> {
    const { broadcasts } = this.context.config;
    for (let n = 1; n <= broadcasts && !this.stopped && this.generators.total().open > 0; n++) {
      this.enter(`broadcast ${n}`);
      const found = await broadcast(this, n);
      if (!found) return;
      this.#broadcasts.push(found);
    }
  }

  /** The findings for the verdict; must be taken before the close. */
  findings(): Findings {
    const { connections, broadcasts } = this.context.config;
    return {
      target: connections,
      open: this.open,
      counts: this.generators.total(),
      heartbeatsAsked: this.#heartbeats.asked,
      broadcastsAsked: broadcasts,
      broadcasts: this.#broadcasts,
      gatewayCount: this.#gatewayCount,
      plateau: this.#plateau,
      stop: this.limits.stop,
      complaints: [...this.complaints, ...this.generators.deaths],
    };
  }

  evidence({ counts, target, open }: Findings): MeasuredEvidence {
    const { asked, p50Ms, p99Ms } = this.#heartbeats;
    return {
      target,
      open,
      failed: counts.failed,
      retries: counts.retries,
      abandoned: counts.abandoned,
      rampSeconds: Number(this.#rampSeconds.toFixed(3)),
      connectPerSecond: this.acceptPerSecond,
      handshakes: this.#handshakes,
      holdSeconds: this.context.config.holdSeconds,
      unexpectedCloses: tallied(counts.unexpectedCloses),
      unexpectedCloseReasons: counts.unexpectedCloses,
      gatewayCount: this.#gatewayCount,
      heartbeats: { asked, sent: counts.heartbeatsSent, answered: counts.heartbeatsAnswered, p50Ms, p99Ms },
      broadcasts: this.#broadcasts,
      gaps: counts.gaps,
      oddMessages: counts.odd,
      ramp: this.#curve.points,
      plateau: this.#plateau,
    };
  }

  /** Closes every connection in an orderly way, then ends the generators. */
  async close(): Promise<void> {
    this.enter("close");
    const maxMs = CLOSE_TIMEOUT_MS + (this.generators.total().open / SLOWEST_CLOSES_PER_SECOND) * 1000;
    this.generators.commandAll({ type: "close", withinMs: CLOSE_TIMEOUT_MS });
    await this.limits.waitThroughStop(() => this.generators.total().held === 0, maxMs);
    await this.generators.end();
    this.limits.end();
    this.#progress.end();
  }

  /** Names the phase that begins, for the progress line. */
  enter(phase: string): void {
    this.#phase = phase;
    this.#sample();
  }

  #sample(): void {
    const counts = this.generators.total();
    const ramping = this.#phase === "ramp";
    if (ramping) {
      this.#curve.add(counts.open);
      this.#observer.sample(this.#moment(), this.#curve);
    }
    const closes = tallied(counts.unexpectedCloses);
    const detail = [
      ramping ? this.#observer.hint : "",
      this.#phase === "hold" ? `${counts.heartbeatsAnswered.toLocaleString("en-US")} heartbeats answered` : "",
      closes > 0 ? `${closes.toLocaleString("en-US")} closed unexpectedly` : "",
    ];
    this.#progress.show({
      phase: this.#phase,
      open: counts.open,
      target: this.context.config.connections,
      perSecond: this.#curve.perSecond,
      detail: detail.filter(Boolean).join(", "),
      failed: counts.failed,
      freeBytes: this.limits.freeBytes,
    });
  }

  #moment(): Moment {
    const { open, failed } = this.generators.total();
    return { open, failed, freeBytes: this.limits.freeBytes, floorBytes: this.limits.floorBytes };
  }
}

/** One configuration for each generator; connections are numbered through all of them. */
function configsOf({ config, plan, target, reconnects }: RunContext, run: string): GeneratorConfig[] {
  const { address, port, host, path, numberAt } = target;
  const { topic, connections: ofAll, broadcastMessages } = config;
  const connectTimeoutMs = config.connectTimeoutSeconds * 1000;
  const { portRange } = plan;
  const shared = { address, port, host, path, numberAt, topic, ofAll, broadcastMessages, connectTimeoutMs, portRange };
  let next = 0;
  return plan.shares.map((share) => {
    const first = next;
    next += share.connections;
    return { ...share, ...shared, run, first, ...(reconnects && { reconnects: { ...reconnects, first } }) };
  });
}
