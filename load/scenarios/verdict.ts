/**
 * The verdict on a scenario: one sentence for each bar that it did not keep. Pure; runs in the coordinator, on evidence only.
 */
import { HEAP_SLACK_BYTES } from "../../src/config/slow-cost.js";
import { describeTally } from "../evidence/evidence.js";
import { tallied } from "../generator/messages.js";
import type { ScenarioEvidence, SoakSample } from "./evidence.js";
import type { ScenarioName } from "./options.js";

export interface Bars {
  readonly settleFactor: number;
  readonly latencyFactor: number;
  readonly latencyFloorMs: number;
  readonly slowBytes: number;
  readonly growthPerHour: number;
}

/** Ends of connections that each scenario itself causes; any other end is a fault. */
const EXPECTED_ENDS: Readonly<Record<ScenarioName, RegExp>> = {
  steady: /^$/,
  storm: /^cut$/,
  churn: /^left$/,
  // A killed process sends no close frame: the kernel ends or resets its sockets.
  drill: /^(?:eof|ECONNRESET|EPIPE)$/,
  // Service restart: never without its close code.
  restart: /^1012$/,
  // The policy `disconnect` ends slow readers, and which reason their sockets see depends on their buffers.
  slow: /./,
  soak: /^$/,
};

/** Growth below this cannot be distinguished from noise. */
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
  const ends = Object.entries(returns.ends).filter(([reason]) => !EXPECTED_ENDS[name].test(reason));
  const unexpected = Object.fromEntries(ends);
  if (tallied(unexpected) > 0) {
    faults.push(`${grouped(tallied(unexpected))} open connections ended unexpectedly: ${describeTally(unexpected)}`);
  }
  if (returns.away > 0) faults.push(`${grouped(returns.away)} of ${grouped(returns.departures)} did not come back`);
  if (returns.gone > 0 && reconnect !== "none") {
    faults.push(`${grouped(returns.gone)} got a close code after which clients do not reconnect`);
  }
  return faults;
}

/** The clients' own first pause is known on both sides: in a storm the factor applies only to the time after it. */
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
  return [`all were back and caught up after ${seconds(settleSeconds)}, allowed ${seconds(bar)} (${predicted})`];
}

function messageFaults({ name, messages, publications }: ScenarioEvidence): string[] {
  const { gaps, lost, duplicates, behindConnections, behindMessages, voided } = messages;
  const faults: string[] = [];
  if (gaps > 0) faults.push(`${grouped(lost)} pushes were missing without an announcement, at ${grouped(gaps)} places`);
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
  const unexpected = gateway.restarts - killedWorkers;
  if (unexpected > 0) faults.push(`${unexpected} workers restarted that this scenario had not killed`);
  // With few slow readers, the garbage of hub and workers would be the greater part: its allowance is spread over them.
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

/** Too little time to extrapolate an hour's growth from. */
const MIN_SOAK_HOURS = 1 / 12;

/** Bytes an hour by the least-squares line through the samples, the first quarter left out; null for too few of them. */
export function growthOf(samples: readonly SoakSample[]): number | null {
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
