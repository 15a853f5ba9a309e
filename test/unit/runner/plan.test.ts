/** Which files a run takes, and in what company: from the table in test/plan.ts. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import { choose, EXCEPTIONS, jobsOf, KINDS } from "../../plan.js";

const longest = EXCEPTIONS.filter(({ checkOnly }) => checkOnly !== undefined).map(({ file }) => file);
const FILES = [
  ...["a", "b", "c", "d", "e", "f"].map((name) => `test/unit/x/${name}.test.ts`),
  "test/rules/r.test.ts",
  "test/integration/i.test.ts",
  "test/browser/b.test.ts",
  "test/scale/s.test.ts",
  "test/fuzz/f.test.ts",
  ...longest,
];

describe("the table of exceptions", () => {
  it("names files that are there, each once, with a reason that is a sentence", () => {
    assert.deepEqual(
      EXCEPTIONS.map(({ file }) => file).filter((file) => !existsSync(file)),
      [],
    );
    assert.equal(new Set(EXCEPTIONS.map(({ file }) => file)).size, EXCEPTIONS.length);
    for (const { file, alone, checkOnly, seconds } of EXCEPTIONS) {
      assert.ok((alone ?? checkOnly ?? seconds) !== undefined, `${file} is no exception`);
      for (const reason of [alone, checkOnly]) assert.ok(reason === undefined || reason.length > 20, file);
    }
  });
});

describe("the files of a run", () => {
  it("are what a change usually needs, unless everything is asked for", () => {
    const usual = choose(FILES, { names: [], everything: false });
    assert.deepEqual(
      usual.filter((file) => /scale|fuzz/.test(file) || longest.includes(file)),
      [],
    );
    assert.equal(usual.length, 9);
    assert.deepEqual(choose(FILES, { names: [], everything: true }), FILES);
  });

  it("are named by kind, by folder or by path, of the source or of what was built, and each is taken once", () => {
    const named = (...names: string[]): string[] => choose(FILES, { names, everything: false });
    assert.deepEqual(named("rules", "browser"), ["test/rules/r.test.ts", "test/browser/b.test.ts"]);
    assert.equal(named("test/unit/x/").length, 6);
    assert.deepEqual(named("./test/unit/x/a.test.ts", "dist/test/unit/x/a.test.js"), ["test/unit/x/a.test.ts"]);
    assert.deepEqual(named("test/scale/s.test.ts"), ["test/scale/s.test.ts"], "named by its path, it is run");
    assert.deepEqual(named("scale"), ["test/scale/s.test.ts"]);
  });

  it("must be there: a name that no file has is told", () => {
    assert.throws(
      () => choose(FILES, { names: ["test/unit/y.test.ts"], everything: false }),
      /there is no test .*y\.test/,
    );
  });
});

describe("the jobs of a run", () => {
  it("deal unit and rules files to few processes, and give each other file its own", () => {
    const jobs = jobsOf(FILES.filter((file) => !longest.includes(file)));
    assert.deepEqual(
      jobs.map(({ files }) => files.length),
      [2, 2, 2, 1, 1, 1, 1, 1],
    );
    assert.equal(new Set(jobs.flatMap(({ files }) => files)).size, 11);
  });

  it("give a process each to a few unit files, so that all of what they print is seen", () => {
    assert.deepEqual(
      jobsOf(FILES.slice(0, 2)).map(({ title, files }) => [title, files]),
      FILES.slice(0, 2).map((file) => [file, [file]]),
    );
  });

  it("end with those that run alone, and begin with the longest of the others", () => {
    const jobs = jobsOf(EXCEPTIONS.map(({ file }) => file));
    const alone = jobs.map((job) => job.alone !== undefined);
    assert.deepEqual(alone, [...alone].sort());
    const lengths = jobs.filter((job) => job.alone === undefined).map(({ files }) => secondsOf(files[0]!));
    assert.deepEqual(
      lengths,
      [...lengths].sort((a, b) => b - a),
    );
  });

  it("have a limit of time each", () => {
    for (const { limitSeconds } of Object.values(KINDS)) assert.ok(limitSeconds >= 60 && limitSeconds <= 900);
  });
});

const secondsOf = (file: string): number => EXCEPTIONS.find((row) => row.file === file)?.seconds ?? 0;
