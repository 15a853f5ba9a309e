/**
 * What all scenarios share while they run: windows of measurement, the stream of publications, waiting until everybody is
 * back, and the looks at kernel and gateway before and after. Runs in the coordinator.
 */
import { type Snapshot, takeSnapshot } from "../../sysctl/attribution/counters.js";
import { KernelFiles } from "../../sysctl/kernel/files.js";
import { monotonicMs } from "../generator/clock.js";
import { Histogram } from "../generator/histogram.js";
import { topicName } from "../reconnects/identities.js";
import { addParts, type Part, type Step, type SumOfParts } from "../reconnects/steps.js";
import type { Opened } from "../run/scenario.js";
import type { Admin } from "../run/target.js";
import type { LatencyEvidence } from "./evidence.js";
import { type GatewayCounters, Readiness, readCounters } from "./gateway.js";
import type { ScenarioConfig } from "./options.js";
import { Publisher } from "./publisher.js";

/** Longer than the greatest pause between two attempts. */
const STALL_MS = 75_000;
const ARRIVE_MS = 15_000;
const POLL_MS = 100;
const NOTICE_MS = 10_000;
/** The gateway's workers tell their counts once a second. */
const COUNTERS_AGE_MS = 1500;

export interface Window {
  readonly sum: SumOfParts;
  readonly latency: LatencyEvidence;
  /** By the second in which they were published. */
  readonly latencies: readonly Histogram[];
  readonly away: Histogram;
}

export class ScenarioRun {
  readonly publisher: Publisher;
  readonly kernelBefore: Snapshot;
  private readonly files = new KernelFiles();
  private readonly readiness: Readiness;
  private index = 0;

  private constructor(
    readonly run: Opened,
    readonly config: ScenarioConfig,
    readonly admin: Admin,
    readonly countersBefore: GatewayCounters,
    readonly publishBytes: number,
  ) {
    const { topics } = run.scene.reconnects!;
    this.kernelBefore = takeSnapshot(this.files);
    this.readiness = new Readiness(admin.url);
    this.publisher = new Publisher(admin, {
      topics: Array.from({ length: topics }, (_, i) => topicName(config.topic, i, topics)),
      ratePerSecond: config.publishRate,
      bytes: publishBytes,
      key: config.scenario === "slow" ? "newest" : undefined,
      run: run.run,
    });
  }

  static async begin(run: Opened, config: ScenarioConfig, publishBytes: number): Promise<ScenarioRun> {
    const admin = run.scene.admin!;
    const scenarioRun = new ScenarioRun(run, config, admin, await readCounters(admin.url), publishBytes);
    scenarioRun.window();
    return scenarioRun;
  }

  step(step: Step): void {
    this.run.fleet.orderAll({ kind: "step", step });
  }

  /** Begins a new window; returns when, on the common clock. */
  window(): number {
    const atMs = monotonicMs();
    this.step({ kind: "window", index: ++this.index, atMs });
    return atMs;
  }

  /** What was found so far, with what belongs to the present window. */
  async sample(): Promise<Window> {
    const collected = await this.run.fleet.collect({ window: this.index });
    const parts = collected.flatMap(({ part }): Part[] => (part ? [part] : []));
    const seconds = Math.max(0, ...parts.map((part) => part.latencies.length));
    const latencies = Array.from({ length: seconds }, (_, i) => merge(parts.map((part) => part.latencies[i] ?? [])));
    const away = merge(parts.map((part) => part.awayTimes));
    return { sum: addParts(parts), latency: latencyOf(latencies), latencies, away };
  }

  /** Waits that long, unless the run must stop. */
  async pass(seconds: number): Promise<void> {
    const untilMs = performance.now() + seconds * 1000;
    await this.run.watch.until(() => performance.now() >= untilMs, Number.POSITIVE_INFINITY);
  }

  /** Waits until somebody has been seen to be away. */
  async noticed(): Promise<void> {
    const deadlineMs = performance.now() + NOTICE_MS;
    while (!this.run.stopped && performance.now() < deadlineMs) {
      const { sum } = await this.sample();
      if (sum.departures > 0) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Waits until everybody is back and has what was missed, or nobody more comes. */
  async settled(): Promise<void> {
    await this.sample();
    const waiting = (): number => this.waiting;
    await this.run.watch.until(() => waiting() === 0, STALL_MS, waiting);
  }

  /** Connections that are away, or have not got yet what they missed. */
  private get waiting(): number {
    const { away, owing } = this.run.fleet.total();
    return away + owing;
  }

  /** No more publications; waits until everybody is there and has the newest, or nothing more arrives. */
  async finish(): Promise<Window> {
    await this.publisher.stop();
    this.step({ kind: "heads", heads: this.publisher.heads });
    let window = await this.sample();
    const waiting = (): number => window.sum.behindMessages + this.waiting;
    for (let movedMs = performance.now(); waiting() > 0 && !this.run.stopped; ) {
      // A pause between two attempts is no standstill.
      if (performance.now() - movedMs > (this.waiting > 0 ? STALL_MS : ARRIVE_MS)) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const before = waiting();
      window = await this.sample();
      if (waiting() !== before) movedMs = performance.now();
    }
    return window;
  }

  /** Private memory of all processes that the gateway has now; null where it cannot be read. */
  async gatewayBytes(): Promise<number | null> {
    const { scene } = this.run;
    if (!scene.target.colocated) return null;
    const { processes } = await this.admin.processes();
    if (!processes.every((one) => scene.host.runs(one))) return null;
    return scene.host.anonymousBytes(processes.map(({ pid }) => pid)) ?? null;
  }

  /** Ends the looks at the gateway; how long it was not ready, and what kernel and gateway counted. */
  async conclude(): Promise<{ notReadyMs: number; kernel: Snapshot; counters: GatewayCounters }> {
    this.readiness.end();
    await new Promise((resolve) => setTimeout(resolve, COUNTERS_AGE_MS));
    const counters = await readCounters(this.admin.url);
    return { notReadyMs: this.readiness.notReadyMs, kernel: takeSnapshot(this.files), counters };
  }

  /** After a fault: leaves nothing running. */
  abandon(): void {
    this.readiness.end();
    void this.publisher.stop();
  }
}

function merge(encoded: readonly (readonly number[])[]): Histogram {
  const all = new Histogram();
  for (const part of encoded) all.merge(part);
  return all;
}

export function latencyOf(seconds: readonly Histogram[]): LatencyEvidence {
  const all = merge(seconds.map((second) => second.encode()));
  return {
    pushes: all.count,
    p50Ms: all.percentileMs(50),
    p99Ms: all.percentileMs(99),
    p99BySecondMs: seconds.map((second) => second.percentileMs(99)),
  };
}
