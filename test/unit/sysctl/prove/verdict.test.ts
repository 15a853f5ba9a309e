/** A step of the proof counts only with exact numbers; and the text of the proof. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addHolderCounts } from "../../../../sysctl/prove/messages.js";
import { describeProgress, describeStep, describeTable, Screen } from "../../../../sysctl/prove/report.js";
import { QUICK } from "../../../../sysctl/prove/sizes.js";
import { proofSteps, type StepResult, shortfalls } from "../../../../sysctl/prove/verdict.js";

const LIMITED = { open: 5000, accepted: 5000, established: 10_000, timedOut: 32, tracked: 5000, dropped: 144 };
const ALL = { open: 7000, accepted: 7000, established: 14_000, timedOut: 0, dropped: 0 };
const rest = { errors: {}, seconds: 1.5 };

function resultOf(change: Partial<StepResult["finding"]> = {}, which = 0): StepResult {
  const findings = [LIMITED, { ...ALL, tracked: 0 }, { ...ALL, tracked: 7000 }];
  return { ...proofSteps(QUICK)[which]!, finding: { ...findings[which]!, ...rest, ...change }, kernelLine: null };
}
const short = (change: Partial<StepResult["finding"]>, which = 0): string[] =>
  shortfalls(resultOf(change, which), 7000);

describe("a step of the proof", () => {
  it("shows the mechanism with exact numbers", () => {
    for (const which of [0, 1, 2]) assert.deepEqual(short({}, which), []);
  });

  it("does not with one connection more or less, by any of the counts", () => {
    assert.deepEqual(short({ open: 4999 }), ["open: 4,999 instead of 5,000"]);
    assert.deepEqual(short({ accepted: 5001 }), ["accepted by the server: 5,001 instead of 5,000"]);
    assert.equal(short({ established: 9999 }).length, 1);
    assert.equal(short({ tracked: 4999 }).length, 1);
    assert.equal(short({ tracked: 1 }, 1).length, 1);
  });

  it("does not when connects fail by anything but a time-out", () => {
    assert.deepEqual(short({ errors: { EADDRNOTAVAIL: 3 } }), ["3 ended with EADDRNOTAVAIL"]);
    assert.equal(short({ timedOut: 0 }).length, 1);
    assert.equal(short({ dropped: 0 }).length, 1);
    assert.equal(short({ timedOut: 2 }, 2).length, 1);
  });

  it("does without the kernel's drop counter, where the kernel has none", () => {
    assert.deepEqual(short({ dropped: null }), []);
  });
});

describe("the proof's text", () => {
  it("names the limit and what clients see", () => {
    const text = describeStep({ ...resultOf(), kernelLine: "table full" }, 7000);
    assert.match(text, /5,000 open, then connects time out: 32 got no answer in 4 s, no error/);
    assert.match(text, /5,000 of 5,000 entries.*10,000 ends ESTABLISHED/);
    assert.match(text, /dropped 144 packets[\s\S]*kernel log: table full/);
    assert.match(describeStep(resultOf({}, 1), 7000), /7,000 of 7,000 open[\s\S]* 0 entries in the table/);
  });

  it("ends with one row for each step", () => {
    const rows = describeTable([resultOf(), resultOf({}, 1), resultOf({}, 2)], 7000)
      .trim()
      .split("\n");
    assert.equal(rows.length, 4);
    assert.match(rows[1]!, /^1\. tracking live, table of 5,000 +7,000 +5,000 +32 +5,000 +5,000$/);
  });

  it("rewrites one line on a terminal, and is sparing elsewhere", () => {
    const texts = (isTTY: boolean): string[] => {
      const written: string[] = [];
      const screen = new Screen({ write: (text: string) => written.push(text), isTTY });
      screen.print("1. step\n");
      screen.show(describeProgress({ open: 1, timedOut: 0, errors: {}, settled: false }, 2));
      screen.print("done\n");
      return written;
    };
    assert.deepEqual(texts(false), ["1. step\n", "done\n"]);
    assert.ok(texts(true).every((text) => text.startsWith("\r\x1b[K")));
  });
});

it("counts of several holders add up, and are settled when all are", () => {
  const one = { open: 2, timedOut: 1, errors: { EMFILE: 1 }, settled: true };
  const sum = { open: 4, timedOut: 2, errors: { EMFILE: 2 }, settled: true };
  assert.deepEqual(addHolderCounts([one, one]), sum);
  assert.equal(addHolderCounts([one, { ...one, settled: false }]).settled, false);
});
