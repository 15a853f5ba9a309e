/** The report of a run: one screen for a person, the verdict last. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Evidence } from "../../../../load/evidence/evidence.js";
import { size, time } from "../../../../load/evidence/format.js";
import { renderReport } from "../../../../load/evidence/report.js";
import { renderProgress } from "../../../../load/run/progress.js";

const EVIDENCE: Evidence = {
  schema: "megagate.evidence.v1",
  startedAt: "2026-11-22T00:00:00.000Z",
  url: "ws://127.0.0.1:8080/ws",
  host: { kernel: "6.18", cores: 2, memoryBytes: 25e9, nofileHard: 20_000, node: "v20.20.2" },
  plan: { workers: 53, generators: 51, sourceAddresses: ["127.1.0.1"], inFlight: 8192 },
  target: 1_000_000,
  open: 999_999,
  failed: { timeout: 4 },
  retries: 3,
  abandoned: 1,
  rampSeconds: 40,
  connectPerSecond: 25_000,
  handshakes: { p50Ms: 4.05, p99Ms: 120 },
  holdSeconds: 30,
  unexpectedCloses: 1,
  unexpectedCloseReasons: { eof: 1 },
  gatewayCount: { processes: 999_998, metrics: 999_998, scrapeMs: 4 },
  heartbeats: { asked: 10, sent: 10, answered: 9, p50Ms: 0.3, p99Ms: 5 },
  broadcasts: [
    {
      bytes: 100,
      topics: 1,
      messages: 1,
      deliveriesPerSecond: 1000,
      expected: 999_998,
      delivered: 999_998,
      duplicates: 0,
      lastSubscriberMs: 9876.5,
      p50Ms: 5000,
      p99Ms: 9800,
    },
  ],
  gaps: 0,
  oddMessages: {},
  memory: {
    userBytesPerConnection: 750,
    hubBytesPerConnection: 5,
    afterBroadcasts: { userBytesPerConnection: 760, hubBytesPerConnection: null },
    kernelBytesPerConnection: null,
    generatorBytesPerConnection: 500,
    baseBytes: 6e8,
    minFreeBytes: 12.3e9,
    notes: ["kernel bytes are for both ends"],
  },
  ramp: [[0, 0]],
  plateau: null,
  verdict: "not held",
  remarks: [],
  reasons: ["999,999 of 1,000,000 connections opened"],
};

describe("report", () => {
  it("shows what was asked for, what was found, and the verdict with its reasons", () => {
    const report = renderReport(EVIDENCE);
    assert.match(report, /^target +1,000,000 connections to ws:\/\/127\.0\.0\.1:8080\/ws$/m);
    assert.match(report, /^open +999,999 in 40\.0 s, 25,000 a second; failed attempts: timeout 4; 3 retried$/m);
    assert.match(report, /^unexpected closes +1: eof 1$/m);
    assert.match(report, /^broadcast 1 +100 bytes: 999,998 of 999,998 in 9\.88 s, p50 5 s, p99 9\.8 s, 0 duplicates$/m);
    assert.match(
      report,
      /750 B in the gateway, 5 B of it in the hub \(at the end 760 B, unknown\), 500 B in generators, unknown in the kernel, least free 12\.3 GB/,
    );
    assert.match(report, /\nverdict: NOT HELD\n {2}- 999,999 of 1,000,000 connections opened$/);
  });

  it("leaves out what was not asked for", () => {
    const { heartbeats, ...rest } = EVIDENCE;
    const bare = { ...rest, heartbeats: { ...heartbeats, asked: 0 }, broadcasts: [], gatewayCount: null };
    assert.doesNotMatch(renderReport(bare), /heartbeats|broadcast|count/);
  });

  it("writes sizes and times with three digits", () => {
    assert.deepEqual([0, 999, 8340, 12.34e6, 24.8e9].map(size), ["0 B", "999 B", "8.34 KB", "12.3 MB", "24.8 GB"]);
    assert.deepEqual([0.8444, 12.34, 1500, null].map(time), ["0.844 ms", "12.3 ms", "1.5 s", "—"]);
  });

  it("shows rate and time left in the ramp only", () => {
    const moment = { open: 250, target: 1000, perSecond: 50, detail: "", failed: { timeout: 2 }, freeBytes: 2e9 };
    const ramp = renderProgress({ ...moment, phase: "ramp" });
    assert.equal(ramp, "ramp: 250 of 1,000 open, 50/s, 15 s left, failed timeout 2, 2.00 GB free");
    const hold = renderProgress({ ...moment, phase: "hold", detail: "3 heartbeats answered" });
    assert.equal(hold, "hold: 250 of 1,000 open, 3 heartbeats answered, failed timeout 2, 2.00 GB free");
  });
});
