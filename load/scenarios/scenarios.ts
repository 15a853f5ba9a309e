/**
 * What happens in each scenario after its baseline: one function each. Runs in the coordinator, on a ScenarioRun that has
 * begun. It acts on clients and gateway only; run.ts makes the evidence, verdict.ts judges it.
 */
import { monotonicMs } from "../generator/clock.js";
import { Histogram } from "../generator/histogram.js";
import type { ScenarioEvidence, SoakSample } from "./evidence.js";
import { confirmedWorkers, rollingRestart, workerLoad } from "./gateway.js";
import { type ScenarioName, shareOf } from "./options.js";
import { latencyOf, type ScenarioRun, type Window } from "./scenario-run.js";

/** What a scenario contributes to the evidence. */
export interface ScenarioOutcome {
  /** Latencies while it lasted. */
  readonly during: Window;
  /** When the event happened, on the common clock; absent for a scenario without a single event. */
  readonly eventAtMs?: number;
  readonly killed?: number;
  /** The rolling restart, of the scenario `restart`. */
  readonly rolled?: NonNullable<ScenarioEvidence["rolled"]>;
  readonly paused?: number;
  readonly bytesDuring?: number | null;
  readonly samples?: readonly SoakSample[];
}

export type Scenario = (scenarioRun: ScenarioRun) => Promise<ScenarioOutcome>;

export const SCENARIOS: Readonly<Record<Exclude<ScenarioName, "steady">, Scenario>> = {
  storm,
  churn,
  slow,
  drill,
  restart,
  soak,
};

/** A share of the connections is reset at once, and all of them reconnect. */
async function storm(scenarioRun: ScenarioRun): Promise<ScenarioOutcome> {
  scenarioRun.run.enter("storm");
  const eventAtMs = scenarioRun.window();
  scenarioRun.step({ type: "cut", share: shareOf(scenarioRun.config.cut) });
  await scenarioRun.untilNoticed();
  return { during: await afterEvent(scenarioRun, eventAtMs), eventAtMs };
}

/** Some of the gateway's workers are killed; their clients reconnect to the other workers and to new ones. */
async function drill(scenarioRun: ScenarioRun): Promise<ScenarioOutcome> {
  scenarioRun.run.enter("drill");
  const workers = await confirmedWorkers(scenarioRun.admin.access);
  const count = Math.max(1, Math.round(shareOf(scenarioRun.config.kill) * workers.length));
  const victims = workers.slice(0, count);
  const eventAtMs = scenarioRun.window();
  for (const { pid } of victims) process.kill(pid, "SIGKILL");
  if (victims.some(({ connections }) => connections > 0)) await scenarioRun.untilNoticed();
  return { during: await afterEvent(scenarioRun, eventAtMs), eventAtMs, killed: victims.length };
}

const ROLL_POLL_SECONDS = 0.25;

/** Every worker is replaced, one after the other; their clients move to the other workers and to the new ones. */
async function restart(scenarioRun: ScenarioRun): Promise<ScenarioOutcome> {
  scenarioRun.run.enter("rolling restart");
  const { access } = scenarioRun.admin;
  const eventAtMs = scenarioRun.window();
  let [progress, fullestWorker, workerCap] = [await rollingRestart(access, "POST"), 0, 0];
  while (progress.state === "rolling" && !scenarioRun.run.stopped) {
    await scenarioRun.wait(ROLL_POLL_SECONDS);
    const { max, cap } = await workerLoad(access);
    [progress, fullestWorker, workerCap] = [await rollingRestart(access, "GET"), Math.max(fullestWorker, max), cap];
  }
  const { state, replaced, of, detail } = progress;
  if (state !== "done") scenarioRun.run.complaints.push(`${replaced} of ${of} workers were replaced: ${detail}`);
  const rolled = { state, replaced, of, seconds: Math.round((monotonicMs() - eventAtMs) / 100) / 10 };
  const during = await afterEvent(scenarioRun, eventAtMs);
  return { during, eventAtMs, rolled: { ...rolled, fullestWorker, workerCap } };
}

/** Waits until all are back, and at least as long as the baseline lasted. */
async function afterEvent(scenarioRun: ScenarioRun, eventAtMs: number): Promise<Window> {
  await scenarioRun.untilSettled();
  await scenarioRun.wait(scenarioRun.config.baselineSeconds - (monotonicMs() - eventAtMs) / 1000);
  return await scenarioRun.sample();
}

/** A steady share closes in order each second, and reconnects. */
async function churn(scenarioRun: ScenarioRun): Promise<ScenarioOutcome> {
  scenarioRun.run.enter("churn");
  const { scenarioSeconds, churnPerSecond } = scenarioRun.config;
  scenarioRun.window();
  const { generators, open } = scenarioRun.run;
  for (let i = 0; i < generators.size; i++) {
    const perSecond = shareOf(churnPerSecond) * generators.of(i).open;
    generators.command(i, { type: "step", step: { type: "churn", perSecond, forMs: scenarioSeconds * 1000 } });
  }
  await scenarioRun.wait(scenarioSeconds);
  const during = await scenarioRun.sample();
  if (during.sum.departures === 0)
    scenarioRun.run.complaints.push(`none of ${open} connections left in ${scenarioSeconds} s`);
  await scenarioRun.untilSettled();
  return { during };
}

/** A share stops reading and reads again later: each gets all that it missed, or a message that says what it does not get. */
async function slow(scenarioRun: ScenarioRun): Promise<ScenarioOutcome> {
  scenarioRun.run.enter("slow");
  scenarioRun.window();
  scenarioRun.step({ type: "pause", share: shareOf(scenarioRun.config.slow) });
  await scenarioRun.wait(scenarioRun.config.scenarioSeconds);
  const during = await scenarioRun.sample();
  const bytesDuring = await scenarioRun.gatewayBytes();
  scenarioRun.run.enter("reading again");
  scenarioRun.window();
  scenarioRun.step({ type: "resume" });
  await scenarioRun.untilSettled();
  return { during, paused: during.sum.paused, bytesDuring };
}

/** Nothing happens for a long time: the samples show what grows. */
async function soak(scenarioRun: ScenarioRun): Promise<ScenarioOutcome> {
  scenarioRun.run.enter("soak");
  const { scenarioSeconds, sampleSeconds } = scenarioRun.config;
  const { generators, limits } = scenarioRun.run;
  const beganMs = monotonicMs();
  const overMs = scenarioSeconds * 1000;
  generators.commandAll({ type: "heartbeats", perConnection: Math.ceil(scenarioSeconds / 60), overMs });
  const samples: SoakSample[] = [];
  const all = new Histogram();
  for (;;) {
    scenarioRun.window();
    const leftSeconds = scenarioSeconds - (monotonicMs() - beganMs) / 1000;
    await scenarioRun.wait(Math.min(sampleSeconds, leftSeconds));
    const during = await scenarioRun.sample();
    for (const second of during.latencies) all.merge(second.encode());
    const { p50Ms, p99Ms } = during.latency;
    samples.push({
      atSeconds: Number(((monotonicMs() - beganMs) / 1000).toFixed(1)),
      open: generators.total().open,
      gatewayBytes: await scenarioRun.gatewayBytes(),
      freeBytes: limits.freeBytes,
      p50Ms,
      p99Ms,
    });
    if (scenarioRun.run.stopped || leftSeconds <= sampleSeconds) {
      return { during: { ...during, latencies: [all], latency: latencyOf([all]) }, samples };
    }
  }
}
