/**
 * What all scenarios share while they run: windows of measurement, the stream of publications, waiting until every connection
 * is back, and the counters of kernel and gateway before and after. Runs in the coordinator.
 */
import { type Snapshot, takeSnapshot } from "../../sysctl/attribution/counters.js";
import { KernelFiles } from "../../sysctl/kernel/files.js";
import { monotonicMs } from "../generator/clock.js";
import { Histogram } from "../generator/histogram.js";
import { topicName } from "../reconnects/identities.js";
import { addParts, type ScenarioPart, type Step, type SumOfParts } from "../reconnects/steps.js";
import type { OpenRun } from "../run/scenario.js";
import type { AdminClient } from "../run/target.js";
import type { LatencyEvidence } from "./evidence.js";
import { type GatewayCounters, ReadinessProbe, readCounters } from "./gateway.js";
import type { ScenarioConfig } from "./options.js";
import { Publisher } from "./publisher.js";

/** Longer than the greatest pause between two attempts. */
const STALL_MS = 75_000;
const ARRIVE_MS = 15_000;
const POLL_MS = 100;
const NOTICE_MS = 10_000;
/** The gateway's workers report their counts once a second: after this long, /metrics holds the last ones. */
const COUNTERS_AGE_MS = 1500;

export interface Window {
  readonly sum: SumOfParts;
  readonly latency: LatencyEvidence;
  /** By the second in which they were published. */
  readonly latencies: readonly Histogram[];
  readonly away: Histogram;
}

interface ScenarioRunOptions {
  readonly run: OpenRun;
  readonly config: ScenarioConfig;
  readonly admin: AdminClient;
  readonly countersBefore: GatewayCounters;
  readonly publishBytes: number;
}

export class ScenarioRun {
  readonly run: OpenRun;
  readonly config: ScenarioConfig;
  readonly admin: AdminClient;
  /** Before the baseline. */
  readonly countersBefore: GatewayCounters;
  readonly publishBytes: number;
  readonly publisher: Publisher;
  readonly kernelBefore: Snapshot;
  readonly #files = new KernelFiles();
  readonly #readiness: ReadinessProbe;
  #index = 0;

  constructor({ run, config, admin, countersBefore, publishBytes }: ScenarioRunOptions) {
    this.run = run;
    this.config = config;
    this.admin = admin;
    this.countersBefore = countersBefore;
    this.publishBytes = publishBytes;
    const { topics } = run.context.reconnects!;
    this.kernelBefore = takeSnapshot(this.#files);
    this.#readiness = new ReadinessProbe(admin.access);
    this.publisher = new Publisher(admin, {
      topics: Array.from({ length: topics }, (_, i) => topicName(config.topic, i, topics)),
      ratePerSecond: config.publishRate,
      bytes: publishBytes,
      key: config.scenario === "slow" ? "newest" : undefined,
      run: run.runId,
    });
  }

  /** Reads the gateway's counters, begins to publish, and begins the first window. */
  static async begin(run: OpenRun, config: ScenarioConfig, publishBytes: number): Promise<ScenarioRun> {
    const admin = run.context.admin!;
    const countersBefore = await readCounters(admin.access);
    const scenarioRun = new ScenarioRun({ run, config, admin, countersBefore, publishBytes });
    scenarioRun.window();
    return scenarioRun;
  }

  step(step: Step): void {
    this.run.generators.commandAll({ type: "step", step });
  }

  /** Begins a new window; returns its time on the common clock. */
  window(): number {
    const atMs = monotonicMs();
    this.step({ type: "window", index: ++this.#index, atMs });
    return atMs;
  }

  /** The findings of all generators so far; latencies are those of the present window. */
  async sample(): Promise<Window> {
    const collected = await this.run.generators.collect({ window: this.#index });
    const parts = collected.flatMap(({ part }): ScenarioPart[] => (part ? [part] : []));
    const seconds = Math.max(0, ...parts.map((part) => part.latencies.length));
    const latencies = Array.from({ length: seconds }, (_, i) => merge(parts.map((part) => part.latencies[i] ?? [])));
    const away = merge(parts.map((part) => part.awayTimes));
    return { sum: addParts(parts), latency: latencyOf(latencies), latencies, away };
  }

  /** Waits that long, unless the run must stop. */
  async wait(seconds: number): Promise<void> {
    const untilMs = performance.now() + seconds * 1000;
    await this.run.limits.waitFor(() => performance.now() >= untilMs, Number.POSITIVE_INFINITY);
  }

  /** Waits until the generators have noticed that connections ended. */
  async untilNoticed(): Promise<void> {
    const deadlineMs = performance.now() + NOTICE_MS;
    while (!this.run.stopped && performance.now() < deadlineMs) {
      const { sum } = await this.sample();
      if (sum.departures > 0) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Waits until every connection is back and has what it missed, or until none has come back for STALL_MS. */
  async untilSettled(): Promise<void> {
    await this.sample();
    const waiting = (): number => this.#waiting;
    await this.run.limits.waitFor(() => waiting() === 0, STALL_MS, waiting);
  }

  /** Connections that are away, or have not received yet what they missed. */
  get #waiting(): number {
    const { away, owing } = this.run.generators.total();
    return away + owing;
  }

  /** Stops publishing; waits until every connection is back and has the newest push, or nothing more arrives. */
  async finish(): Promise<Window> {
    await this.publisher.stop();
    this.step({ type: "heads", heads: this.publisher.heads });
    let window = await this.sample();
    const waiting = (): number => window.sum.behindMessages + this.#waiting;
    for (let movedMs = performance.now(); waiting() > 0 && !this.run.stopped; ) {
      // While some are away, the pause between two attempts may be long.
      if (performance.now() - movedMs > (this.#waiting > 0 ? STALL_MS : ARRIVE_MS)) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const before = waiting();
      window = await this.sample();
      if (waiting() !== before) movedMs = performance.now();
    }
    return window;
  }

  /** Private memory of all processes that the gateway has now; null where it cannot be read. */
  async gatewayBytes(): Promise<number | null> {
    const { context } = this.run;
    if (!context.target.colocated) return null;
    const { processes } = await this.admin.processes();
    if (!processes.every((one) => context.host.runs(one))) return null;
    return context.host.anonymousBytes(processes.map(({ pid }) => pid)) ?? null;
  }

  /** Stops polling the gateway; returns how long it was not ready, and the counters of kernel and gateway. */
  async conclude(): Promise<{ notReadyMs: number; kernel: Snapshot; counters: GatewayCounters }> {
    this.#readiness.end();
    await new Promise((resolve) => setTimeout(resolve, COUNTERS_AGE_MS));
    const counters = await readCounters(this.admin.access);
    return { notReadyMs: this.#readiness.notReadyMs, kernel: takeSnapshot(this.#files), counters };
  }

  /** After an error: stops every timer. */
  abandon(): void {
    this.#readiness.end();
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
