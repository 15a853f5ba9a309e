/**
 * What happens in each scenario, after its baseline: one function each, in the order in which a person would tell it.
 * Runs in the coordinator, on a course that has begun.
 */
import { monotonicMs } from "../generator/clock.js";
import { Histogram } from "../generator/histogram.js";
import type { Sample, ScenarioEvidence } from "./evidence.js";
import { askRoll, confirmedWorkers, fullest } from "./gateway.js";
import { type ScenarioName, shareOf } from "./options.js";
import { latencyOf, type ScenarioRun, type Window } from "./scenario-run.js";

/** What an act leaves for the evidence. */
export interface Acted {
  /** Latencies while it went on. */
  readonly during: Window;
  /** When it happened, on the common clock; null for what goes on all the time. */
  readonly eventAtMs?: number;
  readonly killed?: number;
  readonly rolled?: NonNullable<ScenarioEvidence["rolled"]>;
  readonly paused?: number;
  readonly bytesDuring?: number | null;
  readonly samples?: readonly Sample[];
}

export type Scenario = (scenarioRun: ScenarioRun) => Promise<Acted>;

export const SCENARIOS: Readonly<Record<Exclude<ScenarioName, "steady">, Scenario>> = {
  storm,
  churn,
  slow,
  drill,
  restart,
  soak,
};

/** A share is reset at once; everybody comes back. */
async function storm(scenarioRun: ScenarioRun): Promise<Acted> {
  scenarioRun.run.enter("storm");
  const eventAtMs = scenarioRun.window();
  scenarioRun.step({ kind: "cut", share: shareOf(scenarioRun.config.cut) });
  await scenarioRun.noticed();
  return { during: await afterEvent(scenarioRun, eventAtMs), eventAtMs };
}

/** Some of the gateway's processes are killed; their clients come back to the others, and to new ones. */
async function drill(scenarioRun: ScenarioRun): Promise<Acted> {
  scenarioRun.run.enter("drill");
  const workers = await confirmedWorkers(scenarioRun.admin.url);
  const count = Math.max(1, Math.round(shareOf(scenarioRun.config.kill) * workers.length));
  const victims = workers.slice(0, count);
  const eventAtMs = scenarioRun.window();
  for (const { pid } of victims) process.kill(pid, "SIGKILL");
  if (victims.some(({ connections }) => connections > 0)) await scenarioRun.noticed();
  return { during: await afterEvent(scenarioRun, eventAtMs), eventAtMs, killed: victims.length };
}

const ROLL_LOOK_SECONDS = 0.25;

/** Every worker is replaced, one after the other; their clients move to the others, and to the new ones. */
async function restart(scenarioRun: ScenarioRun): Promise<Acted> {
  scenarioRun.run.enter("rolling restart");
  const { url } = scenarioRun.admin;
  const eventAtMs = scenarioRun.window();
  let [roll, fullestWorker, workerCap] = [await askRoll(url, "POST"), 0, 0];
  while (roll.state === "rolling" && !scenarioRun.run.stopped) {
    await scenarioRun.pass(ROLL_LOOK_SECONDS);
    const { max, cap } = await fullest(url);
    [roll, fullestWorker, workerCap] = [await askRoll(url, "GET"), Math.max(fullestWorker, max), cap];
  }
  const { state, replaced, of } = roll;
  if (state !== "done") scenarioRun.run.complaints.push(`${replaced} of ${of} workers were replaced: ${roll.detail}`);
  const rolled = { state, replaced, of, seconds: Math.round((monotonicMs() - eventAtMs) / 100) / 10 };
  const during = await afterEvent(scenarioRun, eventAtMs);
  return { during, eventAtMs, rolled: { ...rolled, fullestWorker, workerCap } };
}

/** Until all are back, and for as long as the baseline was. */
async function afterEvent(scenarioRun: ScenarioRun, eventAtMs: number): Promise<Window> {
  await scenarioRun.settled();
  await scenarioRun.pass(scenarioRun.config.baselineSeconds - (monotonicMs() - eventAtMs) / 1000);
  return await scenarioRun.sample();
}

/** A steady share leaves in order each second, and comes back. */
async function churn(scenarioRun: ScenarioRun): Promise<Acted> {
  scenarioRun.run.enter("churn");
  const { scenarioSeconds, churnPerSecond } = scenarioRun.config;
  scenarioRun.window();
  const { fleet, open } = scenarioRun.run;
  for (let i = 0; i < fleet.size; i++) {
    const perSecond = shareOf(churnPerSecond) * fleet.of(i).open;
    fleet.command(i, { kind: "step", step: { kind: "churn", perSecond, forMs: scenarioSeconds * 1000 } });
  }
  await scenarioRun.pass(scenarioSeconds);
  const during = await scenarioRun.sample();
  if (during.sum.departures === 0) scenarioRun.run.complaints.push(`nobody of ${open} left in ${scenarioSeconds} s`);
  await scenarioRun.settled();
  return { during };
}

/** A share stops reading, and reads again later: it gets all that it missed, or is told. */
async function slow(scenarioRun: ScenarioRun): Promise<Acted> {
  scenarioRun.run.enter("slow");
  scenarioRun.window();
  scenarioRun.step({ kind: "pause", share: shareOf(scenarioRun.config.slow) });
  await scenarioRun.pass(scenarioRun.config.scenarioSeconds);
  const during = await scenarioRun.sample();
  const bytesDuring = await scenarioRun.gatewayBytes();
  scenarioRun.run.enter("reading again");
  scenarioRun.window();
  scenarioRun.step({ kind: "resume" });
  await scenarioRun.settled();
  return { during, paused: during.sum.paused, bytesDuring };
}

/** Nothing happens, for long: what grows? */
async function soak(scenarioRun: ScenarioRun): Promise<Acted> {
  scenarioRun.run.enter("soak");
  const { scenarioSeconds, sampleSeconds } = scenarioRun.config;
  const { fleet, watch } = scenarioRun.run;
  const beganMs = monotonicMs();
  const overMs = scenarioSeconds * 1000;
  fleet.orderAll({ kind: "heartbeats", perConnection: Math.ceil(scenarioSeconds / 60), overMs });
  const samples: Sample[] = [];
  const all = new Histogram();
  for (;;) {
    scenarioRun.window();
    const leftSeconds = scenarioSeconds - (monotonicMs() - beganMs) / 1000;
    await scenarioRun.pass(Math.min(sampleSeconds, leftSeconds));
    const during = await scenarioRun.sample();
    for (const second of during.latencies) all.merge(second.encode());
    const { p50Ms, p99Ms } = during.latency;
    samples.push({
      atSeconds: Number(((monotonicMs() - beganMs) / 1000).toFixed(1)),
      open: fleet.total().open,
      gatewayBytes: await scenarioRun.gatewayBytes(),
      freeBytes: watch.freeBytes,
      p50Ms,
      p99Ms,
    });
    if (scenarioRun.run.stopped || leftSeconds <= sampleSeconds) {
      return { during: { ...during, latencies: [all], latency: latencyOf([all]) }, samples };
    }
  }
}
