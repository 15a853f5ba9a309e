/** Which findings count against a scenario, and which do not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ScenarioEvidence, SoakSample } from "../../../../load/scenarios/evidence.js";
import { scenarioRows } from "../../../../load/scenarios/report.js";
import { type Bars, growthOf, judgeScenario, settleBarSeconds } from "../../../../load/scenarios/verdict.js";

const latency = (pushes: number, p99Ms: number) => ({ pushes, p50Ms: 1, p99Ms, p99BySecondMs: [p99Ms] });
const BARS: Bars = { settleFactor: 2, latencyFactor: 3, latencyFloorMs: 250, slowBytes: 65_536, growthPerHour: 0.05 };

const GOOD: ScenarioEvidence = {
  ...{
    name: "drill",
    reconnect: "sdk",
    reconnectSeconds: null,
    topics: 10,
    killedWorkers: 1,
    rolled: null,
    workers: 3,
    paused: 0,
  },
  publications: { perSecond: 200, bytes: 100, published: 1000, failed: {} },
  returns: {
    ends: { ECONNRESET: 6000 },
    ...{ departures: 6000, returned: 6000, away: 0, gone: 0, backSeconds: 1.9, settleSeconds: 2 },
    ...{ firstPauseSeconds: 1, predictedSeconds: 1.3, acceptPerSecond: 20_000, acceptRateFrom: "ramp" },
    ...{ peakPerSecond: 5000, bySecond: [5000, 1000], refusals: {}, longestAwaySeconds: 1.9, mostAttempts: 2 },
    ...{ awayP50Ms: 500, awayP99Ms: 990 },
  },
  messages: {
    ...{ delivered: 1e5, duplicates: 0, gaps: 0, lost: 0, behindConnections: 0, behindMessages: 0 },
    ...{ dropped: 0, replaced: 0, voided: 0, resets: 0 },
  },
  latency: { before: latency(1000, 100), during: latency(1000, 299) },
  kernel: { listenOverflows: 0, listenDrops: 0, requestQueueDrops: 0, synRetransmits: 9 },
  gateway: {
    ...{ notReadySeconds: 0.5, restarts: 1, refused: {}, unsent: {} },
    ...{ bytesBefore: 1e8, bytesDuring: null, bytesPerPaused: null },
  },
  ...{ samples: [], growthPerHour: null },
};

type Changes = { readonly [K in keyof ScenarioEvidence]?: Partial<ScenarioEvidence[K]> | ScenarioEvidence[K] };

function judged(changes: Changes): string[] {
  const found: Record<string, unknown> = { ...GOOD };
  for (const [key, value] of Object.entries(changes)) {
    const old = found[key];
    const merges = typeof value === "object" && !Array.isArray(value) && typeof old === "object";
    found[key] = merges ? { ...old, ...(value as object) } : value;
  }
  return judgeScenario(found as unknown as ScenarioEvidence, BARS);
}

describe("verdict on a scenario", () => {
  it("a scenario that held has no faults", () => assert.deepEqual(judged({}), []));

  it("the bar of a drill is a multiple of the prediction; of a storm, of the gateway's time after the clients' pause", () => {
    assert.equal(settleBarSeconds(GOOD, 2), 2.6);
    assert.equal(settleBarSeconds({ ...GOOD, name: "storm" }, 3)?.toFixed(3), "1.900");
    assert.match(
      judged({ returns: { settleSeconds: 2.7 } }).join(),
      /after 2\.7 s, allowed 2\.6 s \(predicted 1\.3 s\)/,
    );
  });

  it("connections that stay away, or end for another reason than the scenario's, are faults", () => {
    assert.match(judged({ returns: { away: 3 } }).join(), /3 of 6,000 did not come back/);
    assert.match(judged({ returns: { ends: { cut: 1 } } }).join(), /1 open connections ended unexpectedly: cut 1/);
    assert.match(judged({ returns: { gone: 2 } }).join(), /2 got a close code after which clients do not reconnect/);
    assert.deepEqual(judged({ returns: { gone: 2 }, reconnect: "none" }), []);
  });

  it("pushes: missing, twice, behind or not recovered", () => {
    assert.match(
      judged({ messages: { gaps: 1, lost: 4 } }).join(),
      /4 pushes were missing without an announcement, at 1 places/,
    );
    assert.match(judged({ messages: { duplicates: 5 } }).join(), /5 pushes came twice/);
    assert.match(judged({ messages: { behindConnections: 1, behindMessages: 7 } }).join(), /lacked the newest 7/);
    assert.match(judged({ messages: { voided: 8 } }).join(), /8 missed pushes could not be recovered/);
    const announced = { voided: 8, dropped: 9 };
    assert.deepEqual(judged({ name: "slow", returns: { predictedSeconds: null }, messages: announced }), []);
  });

  it("latency: three times what it was, or the floor", () => {
    assert.match(judged({ latency: { during: latency(1, 301) } }).join(), /rose from 100\.0 to 301\.0/);
    const quick = { before: latency(1, 2), during: latency(1, 249) };
    assert.deepEqual(judged({ latency: quick }), []);
  });

  it("a storm may neither overflow the listen queues nor make the gateway unready", () => {
    const storm: Changes = { name: "storm", returns: { ends: { cut: 6000 }, settleSeconds: 1 }, killedWorkers: 0 };
    assert.deepEqual(judged({ ...storm, gateway: { notReadySeconds: 0, restarts: 0 } }), []);
    const faults = judged({ ...storm, kernel: { listenOverflows: 2 } }).join();
    assert.match(
      faults,
      /not ready for 0\.5 s.*overflowed 2 times on this host.*1 workers restarted that this scenario had not killed/,
    );
  });

  it("a rolling restart may neither reset a connection nor fill a worker beyond its cap", () => {
    const rolled = { state: "done", replaced: 3, of: 3, seconds: 9, fullestWorker: 500, workerCap: 500 };
    const restart: Changes = { name: "restart", killedWorkers: 0, gateway: { restarts: 0 }, rolled };
    assert.deepEqual(judged({ ...restart, returns: { ends: { 1012: 6000 }, predictedSeconds: null } }), []);
    assert.match(judged(restart).join(), /6,000 open connections ended unexpectedly: ECONNRESET/);
    assert.match(
      judged({ ...restart, rolled: { ...rolled, fullestWorker: 501 } }).join(),
      /held 501.*above its cap of 500/,
    );
  });

  it("memory: of each slow reader, and an hour's growth", () => {
    assert.match(
      judged({ gateway: { bytesPerPaused: 70_000 } }).join(),
      /70,000 bytes for each connection that did not read/,
    );
    const few = { paused: 10_000, workers: 3, gateway: { bytesPerPaused: 70_000 } };
    assert.deepEqual(judged(few), [], "the garbage of four processes is not the slow readers'");
    assert.match(judged({ ...few, paused: 100_000 }).join(), /allowed 66,536/);
    const samples = [0, 1, 2, 3, 4, 5].map((i) => sample(i * 360, 100e6 + i * 3e6));
    assert.equal(growthOf(samples), 30e6);
    assert.match(judged({ samples, growthPerHour: 30e6 }).join(), /grew by 30\.0 % an hour, allowed 5\.0 %/);
  });

  it("a few minutes are too short for an hour's growth, and little growth is noise", () => {
    assert.equal(growthOf([0, 1, 2, 3, 4, 5].map((i) => sample(i * 10, 100e6 + i * 1e6))), null);
    assert.deepEqual(judged({ samples: [sample(0, 100e6), sample(600, 105e6)], growthPerHour: 30e6 }), []);
  });

  it("the report shows the findings in rows", () => {
    const rows = new Map(scenarioRows(GOOD));
    assert.equal(rows.get("scenario"), "drill: 1 of 3 workers killed, 6,000 connections lost, back as the SDK does");
    assert.match(
      rows.get("back")!,
      /^6,000 of 6,000 in 1\.90 s, caught up in 2\.00 s, predicted 1\.30 s at the ramp's 20,000/,
    );
    assert.match(rows.get("push latency")!, /^before p50 1 ms, p99 100 ms \(1,000\); during/);
  });
});

function sample(atSeconds: number, gatewayBytes: number): SoakSample {
  return { atSeconds, open: 1, gatewayBytes, freeBytes: 1e9, p50Ms: 1, p99Ms: 1 };
}
