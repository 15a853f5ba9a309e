/**
 * What happens in each scenario, after its baseline: one function each, in the order in which a person would tell it.
 * Runs in the coordinator, on a course that has begun.
 */
import { monotonicMs } from "../generator/clock.js";
import { Histogram } from "../generator/histogram.js";
import type { Sample, ScenarioEvidence } from "./evidence.js";
import { askRoll, confirmedWorkers, fullest } from "./gateway.js";
import { type ScenarioName, shareOf } from "./options.js";
import { type Course, latencyOf, type Window } from "./scenario-run.js";

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

export type Act = (course: Course) => Promise<Acted>;

export const ACTS: Readonly<Record<Exclude<ScenarioName, "steady">, Act>> = {
  storm,
  churn,
  slow,
  drill,
  restart,
  soak,
};

/** A share is reset at once; everybody comes back. */
async function storm(course: Course): Promise<Acted> {
  course.run.enter("storm");
  const eventAtMs = course.window();
  course.step({ kind: "cut", share: shareOf(course.config.cut) });
  await course.noticed();
  return { during: await afterEvent(course, eventAtMs), eventAtMs };
}

/** Some of the gateway's processes are killed; their clients come back to the others, and to new ones. */
async function drill(course: Course): Promise<Acted> {
  course.run.enter("drill");
  const workers = await confirmedWorkers(course.admin.url);
  const count = Math.max(1, Math.round(shareOf(course.config.kill) * workers.length));
  const victims = workers.slice(0, count);
  const eventAtMs = course.window();
  for (const { pid } of victims) process.kill(pid, "SIGKILL");
  if (victims.some(({ connections }) => connections > 0)) await course.noticed();
  return { during: await afterEvent(course, eventAtMs), eventAtMs, killed: victims.length };
}

const ROLL_LOOK_SECONDS = 0.25;

/** Every worker is replaced, one after the other; their clients move to the others, and to the new ones. */
async function restart(course: Course): Promise<Acted> {
  course.run.enter("rolling restart");
  const { url } = course.admin;
  const eventAtMs = course.window();
  let [roll, fullestWorker, workerCap] = [await askRoll(url, "POST"), 0, 0];
  while (roll.state === "rolling" && !course.run.stopped) {
    await course.pass(ROLL_LOOK_SECONDS);
    const { most, cap } = await fullest(url);
    [roll, fullestWorker, workerCap] = [await askRoll(url, "GET"), Math.max(fullestWorker, most), cap];
  }
  const { state, replaced, of } = roll;
  if (state !== "done") course.run.complaints.push(`${replaced} of ${of} workers were replaced: ${roll.detail}`);
  const rolled = { state, replaced, of, seconds: Math.round((monotonicMs() - eventAtMs) / 100) / 10 };
  const during = await afterEvent(course, eventAtMs);
  return { during, eventAtMs, rolled: { ...rolled, fullestWorker, workerCap } };
}

/** Until all are back, and for as long as the baseline was. */
async function afterEvent(course: Course, eventAtMs: number): Promise<Window> {
  await course.settled();
  await course.pass(course.config.baselineSeconds - (monotonicMs() - eventAtMs) / 1000);
  return await course.look();
}

/** A steady share leaves in order each second, and comes back. */
async function churn(course: Course): Promise<Acted> {
  course.run.enter("churn");
  const { scenarioSeconds, churnPerSecond } = course.config;
  course.window();
  const { fleet, open } = course.run;
  for (let i = 0; i < fleet.size; i++) {
    const perSecond = shareOf(churnPerSecond) * fleet.of(i).open;
    fleet.order(i, { kind: "step", step: { kind: "churn", perSecond, forMs: scenarioSeconds * 1000 } });
  }
  await course.pass(scenarioSeconds);
  const during = await course.look();
  if (during.sum.departures === 0) course.run.complaints.push(`nobody of ${open} left in ${scenarioSeconds} s`);
  await course.settled();
  return { during };
}

/** A share stops reading, and reads again later: it gets all that it missed, or is told. */
async function slow(course: Course): Promise<Acted> {
  course.run.enter("slow");
  course.window();
  course.step({ kind: "pause", share: shareOf(course.config.slow) });
  await course.pass(course.config.scenarioSeconds);
  const during = await course.look();
  const bytesDuring = await course.gatewayBytes();
  course.run.enter("reading again");
  course.window();
  course.step({ kind: "resume" });
  await course.settled();
  return { during, paused: during.sum.paused, bytesDuring };
}

/** Nothing happens, for long: what grows? */
async function soak(course: Course): Promise<Acted> {
  course.run.enter("soak");
  const { scenarioSeconds, sampleSeconds } = course.config;
  const { fleet, watch } = course.run;
  const beganMs = monotonicMs();
  const overMs = scenarioSeconds * 1000;
  fleet.orderAll({ kind: "heartbeats", perConnection: Math.ceil(scenarioSeconds / 60), overMs });
  const samples: Sample[] = [];
  const all = new Histogram();
  for (;;) {
    course.window();
    const leftSeconds = scenarioSeconds - (monotonicMs() - beganMs) / 1000;
    await course.pass(Math.min(sampleSeconds, leftSeconds));
    const during = await course.look();
    for (const second of during.latencies) all.merge(second.encode());
    const { p50Ms, p99Ms } = during.latency;
    samples.push({
      atSeconds: Number(((monotonicMs() - beganMs) / 1000).toFixed(1)),
      open: fleet.total().open,
      gatewayBytes: await course.gatewayBytes(),
      freeBytes: watch.freeBytes,
      p50Ms,
      p99Ms,
    });
    if (course.run.stopped || leftSeconds <= sampleSeconds) {
      return { during: { ...during, latencies: [all], latency: latencyOf([all]) }, samples };
    }
  }
}
