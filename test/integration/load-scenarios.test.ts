/** Load scenarios against a real gateway: what happens to the clients, and where every push went. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ScenarioEvidence } from "../../load/scenarios/evidence.js";
import { load } from "../support/evidence.js";
import { cli, Gateway } from "../support/gateway.js";
import { tunedNetwork } from "../support/tuned-network.js";

/** Bars that a busy machine keeps: these tests check counts, not speed. */
const LENIENT = ["--settle-factor", "100", "--latency-floor-ms", "20000", "--slow-bytes", "100MB"];
const QUICK = ["--baseline-seconds", "1", "--publish-rate", "100", "--sockets-per-topic", "50"];

/** Enough history for readers that missed much. */
const HISTORY = ["--history-bytes", "16MB", "--history-count", "10000"];

const noSlowReaders = tunedNetwork();

async function runScenario(gateway: Gateway, ...args: string[]): Promise<ScenarioEvidence> {
  const { exit, evidence } = await load(gateway, ...args, ...QUICK, ...LENIENT);
  assert.equal(exit.code, 0, exit.stdout + exit.stderr);
  assert.equal(evidence.schema, "megagate.evidence.v1");
  assert.ok(evidence.scenario);
  assert.match(exit.stdout, new RegExp(`^scenario +${evidence.scenario.name}: `, "m"));
  return evidence.scenario;
}

function assertNothingLost({ messages: m, publications, topics }: ScenarioEvidence): void {
  assert.deepEqual([m.gaps, m.lost, m.duplicates, m.behindConnections, m.voided], [0, 0, 0, 0, 0]);
  assert.ok(publications.published > 0 && m.delivered > publications.published, JSON.stringify(m));
  assert.ok(topics > 1);
}

describe("load scenarios", () => {
  it("storm: connections that are cut reconnect as the SDK does, at random times, and receive what they missed", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const found = await runScenario(gateway, "storm", "--connections", "1000", "--cut", "40%");
    assert.deepEqual(found.returns.ends, { cut: 400 });
    assert.deepEqual([found.returns.departures, found.returns.returned, found.returns.away], [400, 400, 0]);
    assert.equal(
      found.returns.bySecond.reduce((sum, n) => sum + n, 0),
      400,
    );
    assert.ok(found.returns.settleSeconds! > 0 && found.returns.longestAwaySeconds > 0);
    assert.ok(found.returns.awayP50Ms! < 0.9 * found.returns.awayP99Ms!, "not all at the same time");
    assert.ok(found.latency.before.pushes > 0 && found.latency.during.pushes > 0);
    assertNothingLost(found);
  });

  it("storm: naive clients reconnect all at once, after their fixed pause", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const naive = ["--reconnect", "naive", "--reconnect-seconds", "2"];
    const found = await runScenario(gateway, "storm", "--connections", "600", "--cut", "100%", ...naive);
    assert.deepEqual([found.returns.departures, found.returns.returned], [600, 600]);
    assert.ok(found.returns.awayP50Ms! >= 2000, String(found.returns.awayP50Ms));
    assert.deepEqual(found.returns.bySecond.slice(0, 2), [0, 0]);
    assertNothingLost(found);
  });

  it("storm: clients that never reconnect are no fault of the gateway", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const { exit, evidence } = await load(
      gateway,
      ...["storm", "--connections", "300", "--cut", "50%", "--reconnect", "none"],
      ...[...QUICK, ...LENIENT],
    );
    assert.deepEqual([evidence.scenario?.returns.gone, evidence.scenario?.returns.away], [150, 0], exit.stdout);
    assert.equal(exit.code, 0, exit.stdout);
  });

  it("drill: workers of this gateway are killed, and nothing is lost", async () => {
    await using gateway = await Gateway.start("--workers", "3");
    const before = await gateway.processes();
    const found = await runScenario(gateway, "drill", "--kill", "60%", "--connections", "900");
    assert.deepEqual([found.killedWorkers, found.workers, found.gateway.restarts], [2, 3, 2]);
    assert.ok(found.returns.departures > 300 && found.returns.departures < 900, String(found.returns.departures));
    assert.deepEqual([found.returns.returned, found.returns.away], [found.returns.departures, 0]);
    assert.equal(found.returns.acceptRateFrom, "gateway");
    assert.equal(found.gateway.notReadySeconds, 0, "one worker is left");
    assert.ok(found.returns.predictedSeconds! > 0 && found.returns.settleSeconds! > 0);
    assert.ok(found.latency.during.pushes > 0, "untouched sockets went on receiving");
    assertNothingLost(found);
    const pids = new Set((await gateway.processes()).map(({ pid }) => pid));
    const gone = before.filter(({ pid }) => !pids.has(pid));
    assert.deepEqual(
      gone.map(({ role }) => role),
      ["worker", "worker"],
    );
  });

  it("restart: every worker is replaced, and every client moves", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const found = await runScenario(gateway, "restart", "--connections", "600");
    assert.deepEqual([found.rolled?.state, found.rolled?.replaced, found.gateway.restarts], ["done", 2, 0]);
    assert.ok(found.rolled!.fullestWorker > 0 && found.rolled!.fullestWorker <= found.rolled!.workerCap);
    const { departures, ends, returned } = found.returns;
    assert.ok(departures >= 600, "some moved twice");
    assert.deepEqual([ends, returned], [{ 1012: departures }, departures]);
    assertNothingLost(found);
  });

  it("churn: a steady share closes in order and reconnects", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const args = ["--connections", "500", "--scenario-seconds", "3", "--churn-per-second", "10%"];
    const found = await runScenario(gateway, "churn", ...args);
    const { departures, returned, ends } = found.returns;
    assert.ok(departures >= 130 && departures <= 150, String(departures));
    assert.deepEqual([ends, returned], [{ left: departures }, departures]);
    assertNothingLost(found);
  });

  for (const policy of ["disconnect", "drop", "conflate"]) {
    it(`slow: readers that stop are treated by the policy ${policy}, and every loss is announced to them`, {
      skip: noSlowReaders,
    }, async () => {
      const readers = ["--slow-readers", policy, "--slow-reader-grace-ms", "500"];
      await using gateway = await Gateway.start(...["--workers", "2", ...readers], ...HISTORY);
      const args = ["--connections", "300", "--slow", "30%", "--scenario-seconds", "6", "--publish-rate", "120"];
      const { exit, evidence } = await load(gateway, "slow", ...args, "--baseline-seconds", "1", ...LENIENT);
      assert.equal(exit.code, 0, exit.stdout + exit.stderr);
      const { paused, messages: m, gateway: own, returns } = evidence.scenario!;
      assert.equal(paused, 90);
      assert.deepEqual([m.gaps, m.duplicates, m.behindConnections], [0, 0, 0]);
      assert.ok((own.unsent[policy] ?? 0) > 0, `buffers filled: ${JSON.stringify(own)}`);
      if (policy === "disconnect") assert.ok(returns.departures > 0 && returns.departures === returns.returned);
      else assert.equal(returns.departures, 0);
      if (policy === "drop") assert.ok(m.dropped + m.voided > 0, JSON.stringify(m));
      if (policy === "conflate") assert.ok(m.replaced + m.voided > 0, JSON.stringify(m));
    });
  }

  it("soak: samples memory, connections and latency, with heartbeats and publications going on", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const args = ["--connections", "300", "--scenario-seconds", "4", "--sample-seconds", "1"];
    const found = await runScenario(gateway, "soak", ...args);
    assert.ok(found.samples.length >= 4, String(found.samples.length));
    assert.ok(found.samples.every(({ open, gatewayBytes, p99Ms }) => open === 300 && gatewayBytes! > 0 && p99Ms! > 0));
    assert.equal(found.growthPerHour, null, "four seconds are too short for an hour's growth");
    assertNothingLost(found);
  });

  it("a soak that the time limit would cut short is refused before it starts", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const target = ["--target", gateway.url, "--admin-url", `http://127.0.0.1:${gateway.adminPort}`];
    const exit = await cli(["load", "soak", ...target, "--connections", "10", "--scenario-seconds", "3600"]).ended;
    assert.deepEqual([exit.code, /3610 s.*--time-limit-seconds/.test(exit.stderr)], [3, true], exit.stderr);
  });

  it("two different scenarios, or an unknown one, are refused with the choices", async () => {
    const two = await cli(["load", "storm", "--scenario", "churn"]).ended;
    assert.deepEqual([two.code, /two scenarios/.test(two.stderr)], [2, true], two.stderr);
    const unknown = await cli(["load", "hurricane"]).ended;
    assert.deepEqual([unknown.code, /must be one of steady \| storm/.test(unknown.stderr)], [2, true], unknown.stderr);
  });
});
