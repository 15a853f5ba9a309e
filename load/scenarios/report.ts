/**
 * A scenario's findings as rows of the report that a person reads. It only formats: verdict.ts decides what held.
 * Pure; runs in the coordinator.
 */
import { describeTally } from "../evidence/evidence.js";
import { grouped, size, time } from "../evidence/format.js";
import { tallied } from "../generator/messages.js";
import type { LatencyEvidence, ScenarioEvidence } from "./evidence.js";

type Row = [string, string];

export function scenarioRows(found: ScenarioEvidence): Row[] {
  return [
    ["scenario", `${found.name}: ${inShort(found)}`],
    ...returns(found),
    ["pushes", pushes(found)],
    ["push latency", `before ${latency(found.latency.before)}; during ${latency(found.latency.during)}`],
    ...latencyBySecond(found),
    ["kernel", kernel(found)],
    ["gateway", gateway(found)],
    ...soaked(found),
  ];
}

function inShort({
  name,
  reconnect,
  reconnectSeconds,
  killedWorkers,
  workers,
  rolled,
  paused,
  returns: r,
}: ScenarioEvidence): string {
  const back = { sdk: "back as the SDK does", naive: `back after ${reconnectSeconds ?? 0} s`, none: "not back" }[
    reconnect
  ];
  switch (name) {
    case "storm":
      return `${grouped(r.departures)} cut, ${back}`;
    case "churn":
      return `${grouped(r.departures)} left and came back, ${back}`;
    case "drill":
      return `${killedWorkers} of ${workers} workers killed, ${grouped(r.departures)} connections lost, ${back}`;
    case "restart":
      return `${rolled?.replaced ?? 0} of ${rolled?.of ?? 0} workers replaced in ${seconds(rolled?.seconds ?? null)}, the fullest held ${grouped(rolled?.fullestWorker ?? 0)} of ${grouped(rolled?.workerCap ?? 0)}; ${grouped(r.departures)} connections moved, ${back}`;
    case "slow":
      return `${grouped(paused)} stopped reading for a while, ${back} when cut`;
    case "soak":
    case "steady":
      return "nothing but time";
  }
}

function returns({ returns: r }: ScenarioEvidence): Row[] {
  if (r.departures === 0) return [];
  const rows: Row[] = [["ended", describeTally(r.ends)]];
  const settled =
    r.settleSeconds === null ? "" : ` in ${seconds(r.backSeconds)}, caught up in ${seconds(r.settleSeconds)}`;
  const source = r.acceptRateFrom === "ramp" ? "the ramp's" : "the gateway's";
  const predicted =
    r.predictedSeconds === null
      ? ""
      : `, predicted ${seconds(r.predictedSeconds)} at ${source} ${grouped(r.acceptPerSecond)} a second`;
  rows.push(["back", `${grouped(r.returned)} of ${grouped(r.departures)}${settled}${predicted}`]);
  rows.push(["peak", `${grouped(r.peakPerSecond)} back in one second; by second ${shortly(r.bySecond)}`]);
  const refused = tallied(r.refusals) === 0 ? "none refused" : `failed attempts: ${describeTally(r.refusals)}`;
  const worst = `longest ${seconds(r.longestAwaySeconds)}, most attempts ${grouped(r.mostAttempts)}`;
  rows.push(["away", `p50 ${time(r.awayP50Ms)}, p99 ${time(r.awayP99Ms)}, ${worst}; ${refused}`]);
  return rows;
}

const seconds = (n: number | null): string => (n === null ? "—" : `${n.toFixed(2)} s`);

/** The report shows the first seconds only; the evidence file has all of them. */
const MAX_SECONDS = 12;
const shortly = (bySecond: readonly number[]): string =>
  bySecond.slice(0, MAX_SECONDS).map(grouped).join(" ") + (bySecond.length > MAX_SECONDS ? " …" : "");

function pushes({ messages: m, publications: p, topics }: ScenarioEvidence): string {
  const announced = [
    m.dropped > 0 ? `${grouped(m.dropped)} announced as dropped` : "",
    m.replaced > 0 ? `${grouped(m.replaced)} replaced by newer` : "",
    m.voided > 0 ? `${grouped(m.voided)} void, announced with the state` : "",
  ].filter(Boolean);
  return [
    `${grouped(p.published)} publications to ${grouped(topics)} topics, ${grouped(m.delivered)} delivered`,
    `${grouped(m.lost + m.behindMessages)} lost`,
    `${grouped(m.duplicates)} twice`,
    ...announced,
  ].join(", ");
}

const latency = ({ pushes: n, p50Ms, p99Ms }: LatencyEvidence): string =>
  `p50 ${time(p50Ms)}, p99 ${time(p99Ms)} (${grouped(n)})`;

function latencyBySecond({ latency: { during } }: ScenarioEvidence): Row[] {
  const times = during.p99BySecondMs;
  if (times.length < 2) return [];
  return [
    ["p99 by second", times.slice(0, MAX_SECONDS).map(time).join(", ") + (times.length > MAX_SECONDS ? " …" : "")],
  ];
}

function kernel({ kernel: k }: ScenarioEvidence): string {
  const overflows = `listen overflows ${grouped(k.listenOverflows)}, SYN queue drops ${grouped(k.requestQueueDrops)}`;
  return `${overflows}, SYNs sent again ${grouped(k.synRetransmits)}`;
}

function gateway({ gateway: g }: ScenarioEvidence): string {
  const unsent = describeTally(g.unsent);
  const refused = describeTally(g.refused);
  const parts = [
    g.notReadySeconds > 0 ? `not ready for ${seconds(g.notReadySeconds)}` : "ready throughout",
    `${grouped(g.restarts)} restarts`,
    g.bytesBefore === null ? "" : `memory ${size(g.bytesBefore)} before`,
    g.bytesDuring === null ? "" : `${size(g.bytesDuring)} with slow readers`,
    g.bytesPerPaused === null ? "" : `${grouped(g.bytesPerPaused)} bytes for each of them`,
    unsent === "" ? "" : `unsent ${unsent}`,
    refused === "" ? "" : `refused ${refused}`,
  ];
  return parts.filter(Boolean).join(", ");
}

function soaked({ samples, growthPerHour }: ScenarioEvidence): Row[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return [];
  const memory =
    first.gatewayBytes === null ? "unknown" : `${size(first.gatewayBytes)} to ${size(last.gatewayBytes ?? 0)}`;
  const growth = growthPerHour === null ? "too short for a growth" : `${size(growthPerHour)} an hour`;
  return [["soak", `${samples.length} samples; gateway's memory ${memory}, ${growth}`]];
}
