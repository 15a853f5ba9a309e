/** What a proof refuses, with which sentences; and how many processes and how much memory it needs. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GatewayError } from "../../../../src/errors.js";
import { type Conditions, faults, refuseUnless } from "../../../../sysctl/prove/conditions.js";
import { FULL, holdersFit, holdersFor, proofMemoryBytes, QUICK } from "../../../../sysctl/prove/sizes.js";

const GOOD: Conditions = {
  root: true,
  maximum: "262144",
  inUse: { tracked: 0, where: "" },
  nofile: 20_000,
  freeBytes: 20e9,
  isRunning: false,
  leftover: undefined,
};

describe("a proof starts", () => {
  it("on an idle machine, at either size", () => {
    assert.deepEqual(faults(GOOD, QUICK), []);
    assert.deepEqual(faults(GOOD, FULL), []);
  });

  for (const [name, change, sentence] of [
    ["without root", { root: false }, /needs root.*sudo/],
    ["without connection tracking", { maximum: undefined }, /tracks no connections.*modprobe nf_conntrack/],
    [
      "while connections are tracked",
      { inUse: { tracked: 1234, where: "this host" } },
      /1,234 connections are tracked now in this host/,
    ],
    ["next to another proof", { isRunning: true, inUse: { tracked: 7, where: "x" } }, /another .* is running/],
    ["with too few descriptors", { nofile: 150 }, /only 150 descriptors/],
    ["with too little memory", { freeBytes: 2e9 }, /must stay free, but only 2\.0 GB/],
  ] as const) {
    it(`not ${name}`, () => {
      const found = faults({ ...GOOD, ...change }, FULL);
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0]!, sentence);
    });
  }

  it("not at all where several things are missing: all are named at once, with what an earlier proof left", () => {
    const bad = { ...GOOD, root: false, inUse: { tracked: 1, where: "this host" }, leftover: "it was 262144" };
    assert.throws(
      () => refuseUnless(bad, QUICK),
      (error) => error instanceof GatewayError && error.kind === "refused" && error.detail.split("\n").length === 3,
    );
  });
});

describe("sizes", () => {
  it("takes as many processes as descriptors and ports demand, at least two", () => {
    assert.equal(holdersFor(QUICK.connections, 1_048_576), 2);
    assert.equal(holdersFor(FULL.connections, 20_000), 15);
    assert.equal(holdersFor(FULL.connections, 1_048_576), 11);
    assert.ok(holdersFit(FULL.connections, 4096) && !holdersFit(FULL.connections, 1024));
  });

  it("counts both ends of each connection and every process", () => {
    assert.ok(proofMemoryBytes(FULL.connections, 15) > 288_000 * 8330);
    assert.ok(proofMemoryBytes(FULL.connections, 16) > proofMemoryBytes(FULL.connections, 15));
  });
});
