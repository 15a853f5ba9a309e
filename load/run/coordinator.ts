/**
 * One run from start to evidence: ramp, hold with heartbeats, broadcasts, orderly close. Owns the order of phases and
 * what was found in them; generators do the work (fleet.ts), watch.ts says when to stop. Each phase is skipped once the
 * run has to stop; the close and the evidence never are. Runs in the coordinator process.
 */
import { randomBytes } from "node:crypto";
import { Curve } from "../attribution/curve.js";
import type { Moment, Observer } from "../attribution/observer.js";
import type { Plateau } from "../attribution/plateau.js";
import type { BroadcastEvidence, Evidence, Findings, GatewayCount } from "../evidence/evidence.js";
import { tallied } from "../generator/messages.js";
import type { ReturnDuty } from "../reconnects/steps.js";
import { Fleet } from "./generators.js";
import {
  broadcast,
  compareCounts,
  holdConnections,
  merged,
  type PhaseContext,
  type RunContext,
  STALL_MS,
} from "./phases.js";
import { Progress } from "./progress.js";
import { Watch } from "./stop.js";

const CLOSE_TIMEOUT_MS = 20_000;
/** Even a slow gateway closes this many a second. */
const SLOWEST_CLOSES_PER_SECOND = 5000;

/** The part of the evidence that a run measures by itself. */
export type MeasuredEvidence = Omit<
  Evidence,
  "schema" | "startedAt" | "url" | "host" | "plan" | "memory" | "verdict" | "reasons" | "remarks"
>;

export class Run implements PhaseContext {
  readonly fleet: Fleet;
  readonly watch: Watch;
  readonly complaints: string[] = [];
  /** Tells this run's broadcasts from anybody else's. */
  readonly run = randomBytes(3).toString("hex");
  /** Open at the end of the ramp. */
  open = 0;
  private readonly broadcasts: BroadcastEvidence[] = [];
  private readonly curve = new Curve();
  private readonly progress = new Progress(process.stderr);
  private handshakes = merged([]);
  private heartbeats = { asked: 0, ...merged([]) };
  private gatewayCount: GatewayCount | null = null;
  private rampSeconds = 0;
  private plateau: Plateau | null = null;
  private phase = "start";

  constructor(
    readonly scene: RunContext,
    private readonly observer: Observer,
  ) {
    const { config, plan, target } = scene;
    const { address, port, host, path, numberAt } = target;
    const connectTimeoutMs = config.connectTimeoutSeconds * 1000;
    const { topic, connections: ofAll, broadcastMessages } = config;
    const same = { portRange: plan.portRange, address, port, host, path, numberAt, topic, ofAll, broadcastMessages };
    let first = 0;
    const duties = plan.shares.map((share, i) => {
      const config = { ...share, ...same, run: this.run, first, connectTimeoutMs, ...returningFrom(scene, i) };
      first += share.connections;
      return config;
    });
    this.fleet = new Fleet(duties);
    const bounds = { memoryFloorBytes: config.memoryFloor, timeLimitSeconds: config.timeLimitSeconds };
    this.watch = new Watch(scene.host, bounds, { sample: () => this.sample(), atOnce: () => this.fleet.kill() });
  }

  get stopped(): boolean {
    return this.watch.stop !== undefined;
  }

  /** Connections a second in the ramp; 0 before it. */
  get acceptPerSecond(): number {
    return this.rampSeconds > 0 ? Math.round(this.open / this.rampSeconds) : 0;
  }

  /** Forks the generators. */
  async start(): Promise<void> {
    this.enter("start");
    await this.fleet.start();
  }

  /** Opens connections, a few generators at a time. */
  async rampUp(): Promise<void> {
    if (this.stopped) return;
    await this.observer.begin();
    this.curve.begin();
    this.enter("ramp");
    const { plan, config } = this.scene;
    const ratePerSecond = config.rate / plan.lanes;
    const inFlight = Math.max(1, Math.ceil(plan.inFlight / plan.lanes));
    let next = 0;
    const settled = (): boolean => {
      let busy = 0;
      for (let i = 0; i < next; i++) if (this.fleet.of(i).pending > 0) busy++;
      for (; busy < plan.lanes && next < this.fleet.size; busy++) {
        this.fleet.command(next++, { kind: "ramp", ratePerSecond, inFlight });
      }
      return busy === 0;
    };
    const stallMs = Math.max(STALL_MS, 1.5 * config.connectTimeoutSeconds * 1000);
    const done = await this.watch.until(settled, stallMs, () => this.fleet.total().open);
    this.rampSeconds = this.curve.seconds;
    if (!done) await this.giveUp(stallMs);
    this.open = this.fleet.total().open;
    this.curve.add(this.open);
    this.plateau = await this.observer.conclude(this.moment(), this.curve);
    this.handshakes = merged((await this.fleet.collect("handshakes")).map((part) => part.histogram));
  }

  private async giveUp(stallMs: number): Promise<void> {
    if (!this.stopped) {
      const { open, inFlight } = this.fleet.total();
      const silence = `none of ${inFlight} in flight opened for ${stallMs / 1000} s`;
      this.complaints.push(`the ramp stalled at ${open} connections: ${silence}`);
      this.rampSeconds -= stallMs / 1000;
    }
    this.fleet.orderAll({ kind: "halt" });
    await this.watch.grace(() => this.fleet.total().pending === 0, STALL_MS / 10);
  }

  /** Holds all connections, heartbeats flowing; compares the gateway's own count with ours. */
  async hold(): Promise<void> {
    if (this.stopped) return;
    this.enter("hold");
    [this.gatewayCount, this.heartbeats] = await Promise.all([compareCounts(this), holdConnections(this)]);
  }

  /** Publishes to all, one broadcast after the other. */
  async broadcastAll(): Promise<void> {
    const { broadcasts } = this.scene.config;
    for (let n = 1; n <= broadcasts && !this.stopped && this.fleet.total().open > 0; n++) {
      this.enter(`broadcast ${n}`);
      const found = await broadcast(this, n);
      if (!found) return;
      this.broadcasts.push(found);
    }
  }

  /** What there is to judge; to be taken before the close. */
  findings(): Findings {
    const { connections, broadcasts } = this.scene.config;
    return {
      target: connections,
      open: this.open,
      counts: this.fleet.total(),
      heartbeatsAsked: this.heartbeats.asked,
      broadcastsAsked: broadcasts,
      broadcasts: this.broadcasts,
      gatewayCount: this.gatewayCount,
      plateau: this.plateau,
      stop: this.watch.stop,
      complaints: [...this.complaints, ...this.fleet.deaths],
    };
  }

  evidence({ counts, target, open }: Findings): MeasuredEvidence {
    const { asked, p50Ms, p99Ms } = this.heartbeats;
    return {
      target,
      open,
      failed: counts.failed,
      retries: counts.retries,
      abandoned: counts.abandoned,
      rampSeconds: Number(this.rampSeconds.toFixed(3)),
      connectPerSecond: this.acceptPerSecond,
      handshakes: this.handshakes,
      holdSeconds: this.scene.config.holdSeconds,
      unexpectedCloses: tallied(counts.unexpectedCloses),
      unexpectedCloseReasons: counts.unexpectedCloses,
      gatewayCount: this.gatewayCount,
      heartbeats: { asked, sent: counts.heartbeatsSent, answered: counts.heartbeatsAnswered, p50Ms, p99Ms },
      broadcasts: this.broadcasts,
      gaps: counts.gaps,
      oddMessages: counts.odd,
      ramp: this.curve.points,
      plateau: this.plateau,
    };
  }

  /** Closes every connection in an orderly way, and lets the generators go. */
  async close(): Promise<void> {
    this.enter("close");
    const boundMs = CLOSE_TIMEOUT_MS + (this.fleet.total().open / SLOWEST_CLOSES_PER_SECOND) * 1000;
    this.fleet.orderAll({ kind: "close", withinMs: CLOSE_TIMEOUT_MS });
    await this.watch.grace(() => this.fleet.total().held === 0, boundMs);
    await this.fleet.end();
    this.watch.end();
    this.progress.end();
  }

  /** What is going on, for the progress line. */
  enter(phase: string): void {
    this.phase = phase;
    this.sample();
  }

  private sample(): void {
    const counts = this.fleet.total();
    const ramping = this.phase === "ramp";
    if (ramping) {
      this.curve.add(counts.open);
      this.observer.sample(this.moment(), this.curve);
    }
    const closes = tallied(counts.unexpectedCloses);
    const detail = [
      ramping ? this.observer.hint : "",
      this.phase === "hold" ? `${counts.heartbeatsAnswered.toLocaleString("en-US")} heartbeats answered` : "",
      closes > 0 ? `${closes.toLocaleString("en-US")} closed unasked` : "",
    ];
    this.progress.show({
      phase: this.phase,
      open: counts.open,
      target: this.scene.config.connections,
      perSecond: this.curve.perSecond,
      detail: detail.filter(Boolean).join(", "),
      failed: counts.failed,
      freeBytes: this.watch.freeBytes,
    });
  }

  private moment(): Moment {
    const { open, failed } = this.fleet.total();
    return { open, failed, freeBytes: this.watch.freeBytes, floorBytes: this.watch.floorBytes };
  }
}

/** Of generator `index`: connections are numbered through all generators. */
function returningFrom({ plan, reconnects }: RunContext, index: number): { reconnects?: ReturnDuty } {
  const first = plan.shares.slice(0, index).reduce((sum, share) => sum + share.connections, 0);
  return reconnects ? { reconnects: { ...reconnects, first } } : {};
}
