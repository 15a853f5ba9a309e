/**
 * What code cites can be found: each `fact N` and `rule N` stands in src/README.md, and each rule has a test with its
 * number in the title. Reads the files that git tracks, or those of the folder where there is no repository.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { trackedFiles } from "../support/repository.js";

const FACTS_AND_RULES = "src/README.md";
const MAX_LINES_OF_FACT = 4;
/** `fact 3`, `facts 1, 2 and 24`, `rules 10–15`. */
const CITATION = /\b(fact|rule)s? (\d+(?:(?:, | and |–|-)\d+)*)/gi;

interface Cited {
  readonly kind: string;
  readonly number: number;
}

function cited(text: string): Cited[] {
  return [...text.matchAll(CITATION)].flatMap(([, kind = "", numbers = ""]) =>
    numbers.split(/\D+/).map((number) => ({ kind: kind.toLowerCase(), number: Number(number) })),
  );
}

/** The numbers that are defined, in the order in which they stand. */
const defined = (kind: string): number[] =>
  [...readFileSync(FACTS_AND_RULES, "utf8").matchAll(new RegExp(`^- \\*\\*${kind} (\\d+)\\.\\*\\* `, "gm"))].map(
    ([, number]) => Number(number),
  );

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);
const code = trackedFiles().filter(
  (path) => /\.(?:ts|cjs|js|html|yml|md)$/.test(path) && !path.startsWith("CHANGELOG"),
);

describe("src/README.md", () => {
  it("numbers its facts and its rules without a hole", () => {
    assert.deepEqual(defined("Fact"), upTo(24));
    assert.deepEqual(defined("Rule"), upTo(17));
  });

  it(`states each fact within ${MAX_LINES_OF_FACT} lines`, () => {
    const facts = readFileSync(FACTS_AND_RULES, "utf8").match(/^- \*\*Fact .*(?:\n {2}.*)*/gm) ?? [];
    assert.deepEqual(
      facts.filter((fact) => fact.split("\n").length > MAX_LINES_OF_FACT),
      [],
    );
  });

  it("has every fact and rule that a comment, a test or a text cites", () => {
    const known = { fact: new Set(defined("Fact")), rule: new Set(defined("Rule")) };
    const missing = code.flatMap((path) =>
      cited(readFileSync(path, "utf8"))
        .filter(({ kind, number }) => !known[kind as keyof typeof known].has(number))
        .map(({ kind, number }) => `${path}: ${FACTS_AND_RULES} has no ${kind} ${number}`),
    );
    assert.deepEqual(missing, []);
  });

  it("has a test for every rule, with its number in the title", () => {
    const titles = code
      .filter((path) => path.endsWith(".test.ts"))
      .flatMap((path) => readFileSync(path, "utf8").match(/["'`]rules? \d[^:]*:/g) ?? []);
    const tested = new Set(titles.flatMap(cited).map(({ number }) => number));
    assert.deepEqual(
      defined("Rule").filter((number) => !tested.has(number)),
      [],
    );
  });
});
