/**
 * One scenario from its baseline to its evidence: refuses what cannot run, measures the baseline, runs the scenario itself
 * (scenarios.ts), and makes the evidence of what was found. Runs in the coordinator.
 */
import { GatewayError } from "../../src/errors.js";
import { monotonicMs } from "../generator/clock.js";
import { firstPauseMs } from "../reconnects/backoff.js";
import { topicCount } from "../reconnects/identities.js";
import type { OpenRun, TrialScenario } from "../run/scenario.js";
import type { ScenarioEvidence } from "./evidence.js";
import { confirmedWorkers, grown, rollingRestart } from "./gateway.js";
import { type ScenarioConfig, shareOf } from "./options.js";
import { ScenarioRun, type Window } from "./scenario-run.js";
import { SCENARIOS, type ScenarioOutcome } from "./scenarios.js";
import { growthOf, judgeScenario } from "./verdict.js";

const PUBLISH_BYTES = 100;
const SLOW_PUBLISH_BYTES = 8000;
/** Left out of the baseline: the pushes of the first second meet code that has not run yet. */
const WARM_UP_SECONDS = 1;
const STORM_FACTOR = 3;
const DRILL_FACTOR = 2;

export function scenarioOf(config: ScenarioConfig): TrialScenario {
  const { scenario, reconnect, reconnectSeconds, socketsPerTopic, connections } = config;
  const topics = topicCount(connections, socketsPerTopic);
  return {
    reconnects: { policy: reconnect, naiveMs: reconnectSeconds * 1000, topics, socketsPerTopic },
    // Refused here, before a ramp of minutes.
    check: async (colocated) => {
      refuseTooLong(config);
      // The answer does not matter: a key without the scope to restart is refused here.
      if (scenario === "restart") await rollingRestart(config, "GET");
      if (scenario !== "drill") return;
      if (!colocated) throw notOnThisHost(config.target);
      await confirmedWorkers(config);
    },
    run: (run) => runScenario(run, config),
  };
}

function refuseTooLong({ scenario, scenarioSeconds, baselineSeconds, timeLimitSeconds }: ScenarioConfig): void {
  const seconds = baselineSeconds + (/^(?:storm|drill|restart)$/.test(scenario) ? 0 : scenarioSeconds);
  if (seconds < timeLimitSeconds) return;
  throw new GatewayError(
    "refused",
    `${scenario} takes ${seconds} s and more, --time-limit-seconds is ${timeLimitSeconds}.\n` +
      "Remedy: raise it; it must also cover the ramp before and the settling after",
  );
}

function notOnThisHost(target: string): GatewayError {
  return new GatewayError(
    "refused",
    `drill kills processes of the gateway, and ${target} is not on this host.\nRemedy: run the drill there`,
  );
}

async function runScenario(run: OpenRun, config: ScenarioConfig): Promise<ScenarioEvidence> {
  const name = config.scenario as Exclude<ScenarioConfig["scenario"], "steady">;
  const bytes = config.publishBytes || (name === "slow" ? SLOW_PUBLISH_BYTES : PUBLISH_BYTES);
  run.enter("baseline");
  const scenarioRun = await ScenarioRun.begin(run, config, bytes);
  try {
    await scenarioRun.wait(WARM_UP_SECONDS);
    scenarioRun.window();
    await scenarioRun.wait(config.baselineSeconds);
    const before = await scenarioRun.sample();
    const bytesBefore = await scenarioRun.gatewayBytes();
    const outcome = await SCENARIOS[name](scenarioRun);
    const after = await scenarioRun.finish();
    const found = await evidenceOf(scenarioRun, { before, bytesBefore, outcome, after });
    const factor = config.settleFactor || (name === "storm" ? STORM_FACTOR : DRILL_FACTOR);
    run.complaints.push(
      ...judgeScenario(found, { ...config, settleFactor: factor, growthPerHour: shareOf(config.growthPerHour) }),
    );
    return found;
  } catch (error) {
    scenarioRun.abandon();
    throw error;
  }
}

interface Found {
  readonly before: Window;
  readonly bytesBefore: number | null;
  readonly outcome: ScenarioOutcome;
  readonly after: Window;
}

async function evidenceOf(scenarioRun: ScenarioRun, found: Found): Promise<ScenarioEvidence> {
  const { config, publisher } = scenarioRun;
  const { before, bytesBefore, outcome, after } = found;
  const { sum } = after;
  const { kernel, counters, notReadyMs } = await scenarioRun.conclude();
  const paused = outcome.paused ?? 0;
  const bytesDuring = outcome.bytesDuring ?? null;
  return {
    name: config.scenario,
    reconnect: config.reconnect,
    reconnectSeconds: config.reconnect === "naive" ? config.reconnectSeconds : null,
    topics: publisher.heads.length,
    publications: {
      perSecond: config.publishRate,
      bytes: scenarioRun.publishBytes,
      published: publisher.published,
      failed: publisher.failures,
    },
    killedWorkers: outcome.killed ?? 0,
    rolled: outcome.rolled ?? null,
    workers: await workersNow(scenarioRun),
    paused,
    returns: returnsOf(scenarioRun, found),
    messages: {
      ...{ delivered: sum.delivered, duplicates: sum.duplicates, gaps: sum.gaps, lost: sum.lost },
      ...{ behindConnections: sum.behind, behindMessages: sum.behindMessages },
      ...{ dropped: sum.dropped, replaced: sum.replaced, voided: sum.voided, resets: sum.resets },
    },
    latency: { before: before.latency, during: outcome.during.latency },
    kernel: {
      listenOverflows: kernel.listenOverflows - scenarioRun.kernelBefore.listenOverflows,
      listenDrops: kernel.listenDrops - scenarioRun.kernelBefore.listenDrops,
      requestQueueDrops: kernel.requestQueueDrops - scenarioRun.kernelBefore.requestQueueDrops,
      synRetransmits: kernel.synRetransmits - scenarioRun.kernelBefore.synRetransmits,
    },
    gateway: {
      notReadySeconds: rounded(notReadyMs / 1000),
      restarts: counters.restarts - scenarioRun.countersBefore.restarts,
      refused: grown(scenarioRun.countersBefore.refused, counters.refused),
      unsent: grown(scenarioRun.countersBefore.unsent, counters.unsent),
      bytesBefore,
      bytesDuring,
      bytesPerPaused:
        paused > 0 && bytesBefore !== null && bytesDuring !== null
          ? Math.round((bytesDuring - bytesBefore) / paused)
          : null,
    },
    samples: outcome.samples ?? [],
    growthPerHour: growthOf(outcome.samples ?? []),
  };
}

async function workersNow({ admin }: ScenarioRun): Promise<number> {
  return (await admin.processes()).processes.filter(({ role }) => role === "worker").length;
}

function returnsOf(scenarioRun: ScenarioRun, { outcome, after }: Found): ScenarioEvidence["returns"] {
  const { config, run, countersBefore } = scenarioRun;
  const { sum, away } = after;
  const firstPauseSeconds = firstPauseMs(config.reconnect, config.reconnectSeconds * 1000, sum.maxRetryWindowMs) / 1000;
  const acceptPerSecond = countersBefore.acceptPerSecond ?? run.acceptPerSecond;
  const stillAway = sum.departures - sum.returns - sum.gone;
  const since = (atMs: number): number | null =>
    outcome.eventAtMs === undefined || atMs === 0 ? null : rounded((atMs - outcome.eventAtMs) / 1000);
  const complete = stillAway === 0 && config.reconnect !== "none";
  const lastMs = Math.max(sum.lastBackAtMs, sum.lastCaughtUpAtMs);
  return {
    ends: sum.ends,
    departures: sum.departures,
    returned: sum.returns,
    away: stillAway,
    gone: sum.gone,
    backSeconds: complete ? since(sum.lastBackAtMs) : null,
    settleSeconds: complete ? since(lastMs) : null,
    firstPauseSeconds,
    predictedSeconds:
      outcome.eventAtMs === undefined || acceptPerSecond === 0 || outcome.rolled !== undefined
        ? null
        : rounded(Math.max(firstPauseSeconds, sum.departures / acceptPerSecond)),
    acceptPerSecond,
    acceptRateFrom: countersBefore.acceptPerSecond === null ? "ramp" : "gateway",
    peakPerSecond: Math.max(0, ...sum.returnsBySecond),
    bySecond: sum.returnsBySecond,
    refusals: sum.refusals,
    longestAwaySeconds: rounded(longestAwayMs(sum, stillAway, outcome) / 1000),
    mostAttempts: sum.maxAttempts,
    awayP50Ms: away.percentileMs(50),
    awayP99Ms: away.percentileMs(99),
  };
}

/** A connection that is not back yet has been away longest. */
function longestAwayMs(sum: Window["sum"], stillAway: number, { eventAtMs }: ScenarioOutcome): number {
  return stillAway > 0 && eventAtMs !== undefined ? monotonicMs() - eventAtMs : sum.longestAwayMs;
}

const rounded = (seconds: number): number => Number(seconds.toFixed(3));
