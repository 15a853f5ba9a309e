/** What is run once more, and what the last lines of a run say. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { jobOf } from "../../plan.js";
import { type Outcome, outcomeOf } from "../../runner/job.js";
import { conclude, mayRunAgain, runAgain, seedsIn } from "../../runner/verdict.js";

const A = "test/integration/drain.test.ts";
const B = "test/integration/storm.test.ts";

function outcome(file: string, result: Partial<Outcome> = {}): Outcome {
  return { job: jobOf(file), seconds: 1, tests: 2, failed: [], skipped: [], output: "", ...result };
}
const failing = (file: string): Outcome =>
  outcome(file, { failed: [{ file, name: "is quick", error: "AssertionError: 2 !== 1\n    at somewhere" }] });
const lacking = (file: string, reason: string): Outcome =>
  outcome(file, { skipped: [{ file, name: "a page", reason }] });

describe("a failed file", () => {
  const source = (): string => "";

  it("is run once more where it is the only one", () => {
    assert.equal(runAgain([outcome(A), failing(B)], source), B);
    assert.equal(runAgain([outcome(A)], source), undefined);
  });

  it("is not run again where a second has failed, or nobody knows which it was", () => {
    assert.equal(runAgain([failing(A), failing(B)], source), undefined);
    const unknown = outcome(A, { failed: [{ file: undefined, name: "the process", error: "" }] });
    assert.equal(runAgain([unknown], source), undefined);
  });

  it("is never run again where its failure cannot be chance", () => {
    for (const file of [
      "test/unit/hub/hub.test.ts",
      "test/unit/topics/replica.test.ts",
      "test/unit/session/requests.test.ts",
      "test/unit/catchup/parking.test.ts",
      "test/unit/session/catch-up.test.ts",
      "test/integration/topics-remember.test.ts",
      "test/scale/hub-dies.test.ts",
      "test/scale/chaos.test.ts",
      "test/fuzz/live-gateway.test.ts",
    ]) {
      assert.equal(mayRunAgain(file, ""), false, file);
      assert.equal(runAgain([failing(file)], source), undefined, file);
    }
    assert.equal(mayRunAgain("test/unit/sysctl/agreement.test.ts", 'import fc from "fast-check";'), false);
    for (const file of [A, B, "test/unit/load/frames.test.ts"]) assert.equal(mayRunAgain(file, ""), true, file);
  });
});

describe("the seeds of a failure", () => {
  it("are whatever calls itself one", () => {
    const output = `chaos: seed 12, 60 s\n{ seed: -365549896, path: "1:2" }\nFUZZ_SEED=9 seed=9 and unseeded 7`;
    assert.deepEqual(seedsIn(output), ["12", "-365549896", "9"]);
  });
});

describe("the last lines", () => {
  const run = (outcomes: Outcome[], more: object = {}) =>
    conclude({ outcomes, flaky: undefined, seconds: 12.4, noSkips: false, ...more });

  it("of a run that passed are one line", () => {
    assert.deepEqual(run([outcome(A), outcome(B)]), { lines: ["", "passed: 4 tests in 12 s"], passed: true });
  });

  it("name each failed test with its error, below everything else", () => {
    const { lines, passed } = run([failing(A), lacking(B, "needs nginx: apt-get install nginx")]);
    assert.equal(passed, false);
    assert.deepEqual(lines.slice(-5), [
      `✖ ${A}: is quick`,
      "    AssertionError: 2 !== 1",
      "        at somewhere",
      "",
      "FAILED: 4 tests in 12 s, 1 failed, 1 could not be run here",
    ]);
  });

  it("cut a long error, so that the others are seen too", () => {
    const error = Array.from({ length: 500 }, (_, i) => `line ${i}`).join("\n");
    const { lines } = run([outcome(A, { failed: [{ file: A, name: "n", error }] })]);
    assert.ok(lines.length < 40 && lines.some((line) => line.includes("470 more lines")), lines.join("\n"));
  });

  it("say in one block what could not be run, and how to install it; the run has passed all the same", () => {
    const { lines, passed } = run([
      lacking(A, "needs nginx: apt-get install nginx"),
      lacking(B, "needs nginx: apt-get install nginx"),
      lacking("test/browser/b.test.ts", "needs chromium: apt-get install chromium"),
      lacking(A, "needs root, to make network namespaces"),
      lacking(A, "this machine is not quiet enough"),
    ]);
    assert.equal(passed, true);
    assert.deepEqual(lines, [
      "",
      "Could not be run on this machine:",
      "  needs nginx: apt-get install nginx",
      `      ${A}: a page`,
      `      ${B}: a page`,
      "  needs chromium: apt-get install chromium",
      "      test/browser/b.test.ts: a page",
      "  needs root, to make network namespaces",
      `      ${A}: a page`,
      "  all of them: apt-get install --no-install-recommends nginx chromium",
      "",
      "passed: 10 tests in 12 s, 4 could not be run here",
    ]);
  });

  it("fail a run with NO_SKIPS=1 for what could not be run, and not for what noise has spoilt", () => {
    const noSkips = { noSkips: true };
    assert.equal(run([lacking(A, "needs nginx: apt-get install nginx")], noSkips).passed, false);
    assert.equal(run([lacking(A, "this machine is not quiet enough")], noSkips).passed, true);
  });

  it("name what passed on its second run, with its seed", () => {
    const flaky = { file: A, first: failing(A).failed, seeds: ["7"] };
    const { lines, passed } = run([outcome(A)], { flaky });
    assert.equal(passed, true);
    assert.match(
      lines.join("\n"),
      /FLAKY: test\/integration\/drain\.test\.ts \(seed 7\) failed, and passed .*\n {2}is quick: AssertionError: 2 !== 1/,
    );
    assert.match(lines.at(-1)!, /^passed: .*1 file was flaky$/);
  });
});

describe("the outcome of a process", () => {
  const end = { type: "end", tests: 3 } as const;
  const failed = { type: "failed", suite: A, name: `${A} > is quick`, error: "slow" } as const;

  it("gives each failure to its file, also in a batch", () => {
    assert.deepEqual(outcomeOf({ files: [A, B] }, [failed, end], { ending: "with 1" }).failed, [
      { file: A, name: "is quick", error: "slow" },
    ]);
    const alone = outcomeOf(
      { files: [B] },
      [{ ...failed, suite: "the gateway", name: "the gateway > is quick" }, end],
      { ending: "with 1" },
    );
    assert.deepEqual(alone.failed, [{ file: B, name: "the gateway > is quick", error: "slow" }]);
  });

  it("is a failure where the process ends early, or not with 0, or is ended", () => {
    assert.deepEqual(outcomeOf({ files: [A] }, [end], { ending: undefined }).failed, []);
    assert.match(
      outcomeOf({ files: [A] }, [end], { ending: "with 7" }).failed[0]!.error,
      /it ended with 7, though each/,
    );
    assert.match(
      outcomeOf({ files: [A] }, [], { ending: undefined }).failed[0]!.error,
      /ended with 0, before its tests were done/,
    );
    assert.equal(outcomeOf({ files: [A, B] }, [], { ending: "by SIGKILL", output: "a\nb" }).failed[0]!.file, undefined);
    assert.match(
      outcomeOf({ files: [A] }, [], { ending: "by SIGKILL", output: "a\nb\n" }).failed[0]!.error,
      /done\na\nb$/,
    );
  });
});
