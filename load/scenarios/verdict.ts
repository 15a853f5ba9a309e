/**
 * The verdict on a scenario: what did not hold against the bars, in words. Pure; runs in the coordinator.
 */
import { HEAP_SLACK_BYTES } from "../../src/config/slow-cost.js";
import { describeTally } from "../evidence/evidence.js";
import { tallied } from "../generator/messages.js";
import type { Sample, ScenarioEvidence } from "./evidence.js";
import type { ScenarioName } from "./options.js";

export interface Bars {
  readonly settleFactor: number;
  readonly latencyFactor: number;
  readonly latencyFloorMs: number;
  readonly slowBytes: number;
  readonly growthPerHour: number;
}

/** Ends of connections that each scenario itself brings about; any other end is a fault. */
const EXPECTED_ENDS: Readonly<Record<ScenarioName, RegExp>> = {
  steady: /^$/,
  storm: /^cut$/,
  churn: /^left$/,
  // A killed process says nothing: the kernel ends or resets its sockets.
  drill: /^(?:eof|ECONNRESET|EPIPE)$/,
  // Service restart: never without the word.
  restart: /^1012$/,
  // Slow readers may be cut; whom it may not happen to is counted apart.
  slow: /./,
  soak: /^$/,
};

/** Growth below this much is not told from noise. */
const GROWTH_NOISE_BYTES = 8e6;

export function judgeScenario(found: ScenarioEvidence, bars: Bars): string[] {
  return [
    ...returnFaults(found),
    ...settleFaults(found, bars),
    ...messageFaults(found),
    ...latencyFaults(found, bars),
    ...gatewayFaults(found, bars),
  ];
}

const grouped = (n: number): string => n.toLocaleString("en-US", { maximumFractionDigits: 0 });
const seconds = (n: number): string => `${n.toFixed(1)} s`;

function returnFaults({ name, reconnect, returns }: ScenarioEvidence): string[] {
  const faults: string[] = [];
  const unasked = Object.fromEntries(Object.entries(returns.ends).filter(([why]) => !EXPECTED_ENDS[name].test(why)));
  if (tallied(unasked) > 0) {
    faults.push(`${grouped(tallied(unasked))} open connections ended that should not: ${describeTally(unasked)}`);
  }
  if (returns.away > 0) faults.push(`${grouped(returns.away)} of ${grouped(returns.departures)} did not come back`);
  if (returns.gone > 0 && reconnect !== "none") {
    faults.push(`${grouped(returns.gone)} were told to stay away by their close code`);
  }
  return faults;
}

/** In a storm both sides know the clients' own pause; what the gateway is held to is the rest. */
export function settleBarSeconds(found: ScenarioEvidence, factor: number): number | null {
  const { predictedSeconds: predicted, firstPauseSeconds: pause, departures, acceptPerSecond } = found.returns;
  if (predicted === null) return null;
  return found.name === "drill" ? factor * predicted : pause + (factor * departures) / acceptPerSecond;
}

function settleFaults(found: ScenarioEvidence, { settleFactor }: Bars): string[] {
  const { settleSeconds, predictedSeconds } = found.returns;
  const bar = settleBarSeconds(found, settleFactor);
  if (bar === null || predictedSeconds === null || settleSeconds === null || settleSeconds <= bar) return [];
  const predicted = `predicted ${seconds(predictedSeconds)}`;
  return [`everybody was back and caught up after ${seconds(settleSeconds)}, allowed ${seconds(bar)} (${predicted})`];
}

function messageFaults({ name, messages, publications }: ScenarioEvidence): string[] {
  const { gaps, lost, duplicates, behindConnections, behindMessages, voided } = messages;
  const faults: string[] = [];
  if (gaps > 0) faults.push(`${grouped(lost)} pushes were missing without a word, at ${grouped(gaps)} places`);
  if (duplicates > 0) faults.push(`${grouped(duplicates)} pushes came twice`);
  if (behindConnections > 0) {
    faults.push(`${grouped(behindConnections)} connections lacked the newest ${grouped(behindMessages)} pushes`);
  }
  if (voided > 0 && name !== "slow") faults.push(`${grouped(voided)} missed pushes could not be recovered`);
  const failed = tallied(publications.failed);
  if (failed > 0) faults.push(`${grouped(failed)} publications failed: ${describeTally(publications.failed)}`);
  return faults;
}

function latencyFaults({ latency }: ScenarioEvidence, { latencyFactor, latencyFloorMs }: Bars): string[] {
  const before = latency.before.p99Ms;
  const during = latency.during.p99Ms;
  if (before === null || during === null) return [];
  const bar = Math.max(latencyFactor * before, latencyFloorMs);
  if (during <= bar) return [];
  const rose = `from ${before.toFixed(1)} to ${during.toFixed(1)} ms`;
  return [`p99 push latency of undisturbed connections rose ${rose}, allowed ${bar.toFixed(1)} ms`];
}

function gatewayFaults(found: ScenarioEvidence, bars: Bars): string[] {
  const { name, kernel, gateway, killedWorkers, growthPerHour, samples } = found;
  const faults: string[] = [];
  if (name === "storm" && gateway.notReadySeconds > 0) {
    faults.push(`the gateway was not ready for ${seconds(gateway.notReadySeconds)}`);
  }
  const overflows = kernel.listenOverflows + kernel.requestQueueDrops;
  if (name === "storm" && overflows > 0)
    faults.push(`listen queues overflowed ${grouped(overflows)} times on this host`);
  if (found.rolled && found.rolled.fullestWorker > found.rolled.workerCap) {
    const { fullestWorker, workerCap } = found.rolled;
    faults.push(`a worker held ${grouped(fullestWorker)} connections, above its cap of ${grouped(workerCap)}`);
  }
  const unasked = gateway.restarts - killedWorkers;
  if (unasked > 0) faults.push(`${unasked} workers restarted that nobody had killed`);
  // Of few, the hub's and the workers' garbage would be the greater part.
  const slowBar = bars.slowBytes + (found.paused > 0 ? ((found.workers + 1) * HEAP_SLACK_BYTES) / found.paused : 0);
  if (gateway.bytesPerPaused !== null && gateway.bytesPerPaused > slowBar) {
    const each = `${grouped(gateway.bytesPerPaused)} bytes for each connection that did not read`;
    faults.push(`the gateway's memory grew by ${each}, allowed ${grouped(slowBar)}`);
  }
  const first = samples[0]?.gatewayBytes ?? 0;
  const grew = (samples.at(-1)?.gatewayBytes ?? 0) - first;
  if (growthPerHour !== null && growthPerHour > bars.growthPerHour * first && grew > GROWTH_NOISE_BYTES) {
    const share = ((100 * growthPerHour) / first).toFixed(1);
    faults.push(`the gateway's memory grew by ${share} % an hour, allowed ${(100 * bars.growthPerHour).toFixed(1)} %`);
  }
  return faults;
}

/** An hour's growth is not foretold from less. */
const MIN_SOAK_HOURS = 1 / 12;

/** Bytes an hour by the least-squares line through the samples, the first quarter left out; null for too few of them. */
export function growthOf(samples: readonly Sample[]): number | null {
  const late = samples.slice(Math.floor(samples.length / 4));
  const points = late.flatMap((s) => (s.gatewayBytes === null ? [] : [[s.atSeconds / 3600, s.gatewayBytes] as const]));
  const hours = (points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0);
  if (points.length < 4 || hours < MIN_SOAK_HOURS) return null;
  const mean = (k: 0 | 1): number => points.reduce((sum, point) => sum + point[k], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const up = points.reduce((sum, [px, py]) => sum + (px - x) * (py - y), 0);
  const across = points.reduce((sum, [px]) => sum + (px - x) ** 2, 0);
  return across === 0 ? null : Math.round(up / across);
}
