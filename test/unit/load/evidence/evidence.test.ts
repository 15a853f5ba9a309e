/** The verdict: "held" needs everything, and each failure is one sentence. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeTally, exitStatus, type Findings, judge } from "../../../../load/evidence/evidence.js";
import { addCounts, noCounts } from "../../../../load/generator/messages.js";

const BROADCAST = {
  bytes: 100,
  topics: 1,
  messages: 1,
  deliveriesPerSecond: 1000,
  expected: 1000,
  delivered: 1000,
  duplicates: 0,
  lastSubscriberMs: 9,
  p50Ms: 4,
  p99Ms: 8,
};

function findings(changes: Partial<Findings> = {}, counts: Partial<Findings["counts"]> = {}): Findings {
  return {
    target: 1000,
    open: 1000,
    counts: { ...noCounts(), open: 1000, heartbeatsSent: 1000, heartbeatsAnswered: 1000, ...counts },
    heartbeatsAsked: 1000,
    broadcastsAsked: 1,
    broadcasts: [BROADCAST],
    gatewayCount: { processes: 1000, metrics: 1000, scrapeMs: 3 },
    plateau: null,
    stop: undefined,
    complaints: [],
    ...changes,
  };
}

const reasons = (...given: Parameters<typeof findings>): readonly string[] => {
  const { verdict, reasons: found } = judge(findings(...given), true);
  assert.equal(verdict, "not held");
  return found;
};

describe("evidence", () => {
  it("holds when everything held, also with failed attempts whose retries succeeded", () => {
    assert.deepEqual(judge(findings({}, { failed: { http_503: 4 }, retries: 4 }), false), {
      verdict: "held",
      reasons: [],
      remarks: [],
    });
    assert.equal(judge(findings({ gatewayCount: null, broadcasts: [], broadcastsAsked: 0 }), false).verdict, "held");
  });

  it("does not hold with one connection, heartbeat or delivery less", () => {
    assert.deepEqual(reasons({ open: 999, gatewayCount: null }, { failed: { timeout: 7, http_503: 12 } }), [
      "999 of 1,000 connections opened; failed attempts: http_503 12, timeout 7",
    ]);
    assert.deepEqual(reasons({}, { heartbeatsAnswered: 999 }), ["1 of 1,000 heartbeats were not answered"]);
    assert.deepEqual(reasons({}, { heartbeatsSent: 998, heartbeatsAnswered: 998 }), [
      "998 of 1,000 heartbeats could be sent",
    ]);
    assert.deepEqual(reasons({ broadcasts: [{ ...BROADCAST, delivered: 999 }] }), [
      "broadcast 1 was received 999 of 1,000 times",
    ]);
    assert.deepEqual(reasons({ broadcasts: [] }), ["0 of 1 broadcasts were published"]);
  });

  it("does not hold with anything too much", () => {
    assert.deepEqual(reasons({ broadcasts: [{ ...BROADCAST, duplicates: 2 }] }), [
      "broadcast 1 was received twice 2 times",
    ]);
    assert.deepEqual(reasons({}, { gaps: 3 }), ["3 gaps in the offsets that connections received"]);
    assert.deepEqual(reasons({}, { unexpectedCloses: { 1012: 5, eof: 1 } }), [
      "6 open connections ended unexpectedly: 1012 5, eof 1",
    ]);
    assert.match(reasons({}, { odd: { "event degraded": 1 } })[0]!, /event degraded/);
    assert.deepEqual(reasons({ complaints: ["generator 2 of 3 ended by SIGKILL"] }), [
      "generator 2 of 3 ended by SIGKILL",
    ]);
  });

  it("gives a long time as a remark, and as a reason only where it is strict", () => {
    const late = findings({ gatewayCount: { processes: 1000, metrics: 1000, scrapeMs: 1020 } });
    const remark = "a scrape of its metrics took 1020 ms";
    assert.deepEqual(judge(late, false), { verdict: "held", reasons: [], remarks: [remark] });
    assert.deepEqual(judge(late, true), { verdict: "not held", reasons: [remark], remarks: [] });
  });

  it("wants the gateway's own count exact, and where it is strict its scrape quick", () => {
    const found = reasons({ gatewayCount: { processes: 999, metrics: 1001, scrapeMs: 1000 } });
    assert.deepEqual(found, [
      "a scrape of its metrics took 1000 ms",
      "the gateway counted 999 connections, 1,000 were open",
      "its metrics said 1,001 connections, 1,000 were open",
    ]);
  });

  it("is stopped by a signal, but not held at a limit", () => {
    const stopped = judge(findings({ broadcasts: [], stop: { type: "signal", text: "stopped by SIGINT" } }), false);
    assert.deepEqual(stopped, { verdict: "stopped", reasons: ["stopped by SIGINT"], remarks: [] });
    const limited = judge(findings({ stop: { type: "memory floor", text: "free memory fell" } }), false);
    assert.deepEqual(limited, { verdict: "not held", reasons: ["free memory fell"], remarks: [] });
    assert.deepEqual([exitStatus("held"), exitStatus("not held"), exitStatus("stopped")], [0, 1, 130]);
  });

  it("adds up what generators counted, reason by reason", () => {
    const a = { ...noCounts(), open: 2, failed: { timeout: 1 } };
    const b = { ...noCounts(), open: 3, failed: { timeout: 2, EMFILE: 1 } };
    assert.deepEqual(addCounts([a, b]), { ...noCounts(), open: 5, failed: { timeout: 3, EMFILE: 1 } });
    assert.equal(describeTally({}), "");
  });
});
