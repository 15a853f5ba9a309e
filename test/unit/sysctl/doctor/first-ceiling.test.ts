/** Recorded hosts: each has the right first ceiling, and the remedy in the format of what runs the gateway there. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ceilingsOf, firstCeiling } from "../../../../sysctl/doctor/ceilings.js";
import { ceilingAt, factsOf, HOSTS, PLAN } from "./hosts.js";

/** Worked out by hand from the recorded files; where memory decides, to within the processes' share. */
const FIRST = {
  "debian-vm": { limit: "memory", near: 4_370_000, runtime: "host", remedy: undefined },
  "systemd-service": {
    limit: "pids",
    // (512 − 11) threads are 43 workers of 3,696 under 4,096 descriptors, less five deviations, besides supervisor and hub.
    near: 158_800,
    runtime: "systemd",
    remedy:
      /^# \S+\.service\.d\/.*daemon-reload.*\n\[Service\]\nTasksMax=\d+\n# or raise the descriptor limit to 126868/,
  },
  "docker-container": {
    limit: "cgroup-memory",
    near: 382_300,
    runtime: "docker",
    remedy: /^# docker run.*\n--memory \d+b$/,
  },
  "kubernetes-pod": {
    limit: "cgroup-memory",
    near: 794_800,
    runtime: "kubernetes",
    remedy: /resources:\n {2}limits:\n {4}memory: "\d+"$/,
  },
  "host-4gib": {
    limit: "file-max",
    near: 400_169,
    runtime: "host",
    remedy: /^# \/etc\/sysctl\.d\/.*sysctl --system\nfs\.file-max = 1101120$/,
  },
  "host-64-cores": {
    limit: "conntrack",
    near: 260_271,
    runtime: "host",
    remedy:
      /\nnet\.netfilter\.nf_conntrack_max = 1101873\n# and nf_conntrack as a line of \/etc\/modules-load\.d\S+\n# or exempt .* notrack/,
  },
} as const;

for (const host of HOSTS) {
  const { limit, near, runtime, remedy } = FIRST[host];
  it(`${host}: ${limit} at about ${near}, in the format of: ${runtime}`, () => {
    const facts = factsOf(host);
    assert.equal(facts.runtime, runtime);
    const first = firstCeiling(ceilingsOf(facts, PLAN));
    assert.ok(first?.connections != null);
    assert.equal(first.limit, limit);
    assert.ok(Math.abs(first.connections - near) < near / 100, String(first.connections));
    assert.equal(first.verdict, near < PLAN.connections ? "low" : "ok");
    if (remedy) assert.match(first.remedy.join("\n"), remedy);
    else assert.deepEqual(first.remedy, []);
  });

  it(`${host}: the ceiling is exact: that many fit, one more is low`, () => {
    const facts = factsOf(host);
    for (const row of ceilingsOf(facts, PLAN)) {
      if (row.connections === null) continue;
      assert.equal(ceilingAt(row.limit, facts, { connections: row.connections }).verdict, "ok", row.limit);
      assert.equal(ceilingAt(row.limit, facts, { connections: row.connections + 1 }).verdict, "low", row.limit);
    }
  });

  it(`${host}: rows are sorted by where they bite; what limits only the rate comes last and never has a count`, () => {
    for (const side of ["server", "client", "both"] as const) {
      const rows = ceilingsOf(factsOf(host), { ...PLAN, side });
      const counts = rows.map(({ connections }) => connections ?? Number.POSITIVE_INFINITY);
      assert.deepEqual(
        counts,
        counts.toSorted((a, b) => a - b),
      );
      const firstRate = rows.findIndex(({ counts }) => !counts);
      assert.ok(rows.slice(firstRate).every((row) => !row.counts && row.connections === null));
    }
  });
}

describe("a remedy that is followed", () => {
  it("lifts the ceiling above the plan", () => {
    const facts = factsOf("host-4gib");
    const { need } = ceilingAt("file-max", facts);
    assert.ok(need?.kind === "sysctl");
    const settings = new Map(facts.settings).set(need.key, { text: need.value });
    assert.equal(ceilingAt("file-max", { ...facts, settings }).verdict, "ok");
  });

  it("does so for the task limit of a unit, by more tasks or by more descriptors", () => {
    const facts = factsOf("systemd-service");
    const { need, remedy } = ceilingAt("pids", facts);
    assert.ok(need?.kind === "tasks" && facts.tasks.group);
    const tasks = { ...facts.tasks, group: { ...facts.tasks.group, limit: need.value } };
    assert.equal(ceilingAt("pids", { ...facts, tasks }).verdict, "ok");
    const hard = Number(/descriptor limit to (\d+)/.exec(remedy.join("\n"))?.[1]);
    assert.equal(ceilingAt("pids", { ...facts, nofile: { soft: hard, hard } }).verdict, "ok");
  });
});
