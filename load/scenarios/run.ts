/**
 * One scenario from its baseline to its evidence: what was asked for, the act itself (acts.ts), and what was found.
 * Runs in the coordinator.
 */
import { GatewayError } from "../../src/errors.js";
import { monotonicMs } from "../generator/clock.js";
import { firstPauseMs } from "../reconnects/backoff.js";
import { topicCount } from "../reconnects/identities.js";
import type { Opened, Scenario } from "../run/scenario.js";
import type { ScenarioEvidence } from "./evidence.js";
import { confirmedWorkers, grown } from "./gateway.js";
import { type ScenarioConfig, shareOf } from "./options.js";
import { ScenarioRun, type Window } from "./scenario-run.js";
import { type Acted, SCENARIOS } from "./scenarios.js";
import { growthOf, judgeScenario } from "./verdict.js";

const PUBLISH_BYTES = 100;
const SLOW_PUBLISH_BYTES = 8000;
/** The first second's pushes meet code that nobody has run yet. */
const WARM_UP_SECONDS = 1;
const STORM_FACTOR = 3;
const DRILL_FACTOR = 2;

export function scenarioOf(config: ScenarioConfig): Scenario {
  const { scenario, reconnect, reconnectSeconds, socketsPerTopic, connections } = config;
  const topics = topicCount(connections, socketsPerTopic);
  return {
    reconnects: { policy: reconnect, naiveMs: reconnectSeconds * 1000, topics, socketsPerTopic },
    // Better now than after a ramp of minutes.
    check: async (adminUrl, colocated) => {
      refuseTooLong(config);
      if (scenario !== "drill") return;
      if (!colocated) throw notHere(config.target);
      await confirmedWorkers(adminUrl);
    },
    runScenario: (run) => runScenario(run, config),
  };
}

function refuseTooLong({ scenario, scenarioSeconds, baselineSeconds, timeLimitSeconds }: ScenarioConfig): void {
  const seconds = baselineSeconds + (/^(?:storm|drill|restart)$/.test(scenario) ? 0 : scenarioSeconds);
  if (seconds < timeLimitSeconds) return;
  throw new GatewayError(
    "refused",
    `${scenario} takes ${seconds} s and more, --time-limit-seconds is ${timeLimitSeconds}.\n` +
      "Remedy: raise it, for the ramp before and the settling after too",
  );
}

function notHere(target: string): GatewayError {
  return new GatewayError(
    "refused",
    `drill kills processes of the gateway, and ${target} is not on this host.\nRemedy: run the drill there`,
  );
}

async function runScenario(run: Opened, config: ScenarioConfig): Promise<ScenarioEvidence> {
  const name = config.scenario as Exclude<ScenarioConfig["scenario"], "steady">;
  const bytes = config.publishBytes || (name === "slow" ? SLOW_PUBLISH_BYTES : PUBLISH_BYTES);
  run.enter("baseline");
  const scenarioRun = await ScenarioRun.begin(run, config, bytes);
  try {
    await scenarioRun.pass(WARM_UP_SECONDS);
    scenarioRun.window();
    await scenarioRun.pass(config.baselineSeconds);
    const before = await scenarioRun.sample();
    const bytesBefore = await scenarioRun.gatewayBytes();
    const acted = await SCENARIOS[name](scenarioRun);
    const after = await scenarioRun.finish();
    const found = await evidenceOf(scenarioRun, { before, bytesBefore, acted, after });
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
  readonly acted: Acted;
  readonly after: Window;
}

async function evidenceOf(scenarioRun: ScenarioRun, found: Found): Promise<ScenarioEvidence> {
  const { config, publisher } = scenarioRun;
  const { before, bytesBefore, acted, after } = found;
  const { sum } = after;
  const { kernel, counters, notReadyMs } = await scenarioRun.conclude();
  const paused = acted.paused ?? 0;
  const bytesDuring = acted.bytesDuring ?? null;
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
    killedWorkers: acted.killed ?? 0,
    rolled: acted.rolled ?? null,
    workers: await workersNow(scenarioRun),
    paused,
    returns: returnsOf(scenarioRun, found),
    messages: {
      ...{ delivered: sum.delivered, duplicates: sum.duplicates, gaps: sum.gaps, lost: sum.lost },
      ...{ behindConnections: sum.behind, behindMessages: sum.behindMessages },
      ...{ dropped: sum.dropped, replaced: sum.replaced, voided: sum.voided, resets: sum.resets },
    },
    latency: { before: before.latency, during: acted.during.latency },
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
    samples: acted.samples ?? [],
    growthPerHour: growthOf(acted.samples ?? []),
  };
}

async function workersNow({ admin }: ScenarioRun): Promise<number> {
  return (await admin.processes()).processes.filter(({ role }) => role === "worker").length;
}

function returnsOf(scenarioRun: ScenarioRun, { acted, after }: Found): ScenarioEvidence["returns"] {
  const { config, run, countersBefore } = scenarioRun;
  const { sum, away } = after;
  const firstPauseSeconds = firstPauseMs(config.reconnect, config.reconnectSeconds * 1000, sum.mostToldMs) / 1000;
  const acceptPerSecond = countersBefore.acceptPerSecond ?? run.acceptPerSecond;
  const stillAway = sum.departures - sum.returns - sum.gone;
  const since = (atMs: number): number | null =>
    acted.eventAtMs === undefined || atMs === 0 ? null : rounded((atMs - acted.eventAtMs) / 1000);
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
      acted.eventAtMs === undefined || acceptPerSecond === 0 || acted.rolled !== undefined
        ? null
        : rounded(Math.max(firstPauseSeconds, sum.departures / acceptPerSecond)),
    acceptPerSecond,
    acceptRateFrom: countersBefore.acceptPerSecond === null ? "ramp" : "gateway",
    peakPerSecond: Math.max(0, ...sum.returnsBySecond),
    bySecond: sum.returnsBySecond,
    refusals: sum.refusals,
    longestAwaySeconds: rounded(longestAwayMs(sum, stillAway, acted) / 1000),
    mostAttempts: sum.mostAttempts,
    awayP50Ms: away.percentileMs(50),
    awayP99Ms: away.percentileMs(99),
  };
}

/** Who is not back yet has been away longest. */
function longestAwayMs(sum: Window["sum"], stillAway: number, { eventAtMs }: Acted): number {
  return stillAway > 0 && eventAtMs !== undefined ? monotonicMs() - eventAtMs : sum.longestAwayMs;
}

const rounded = (seconds: number): number => Number(seconds.toFixed(3));
