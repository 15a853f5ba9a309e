/**
 * README.zh-CN.md says what README.md says: the same sections, commands, rows of figures and links in the same order, in
 * Chinese with full-width punctuation.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

const ENGLISH = "README.md";
const CHINESE = "README.zh-CN.md";

/** The remedy where a place of the Chinese text differs. */
const REMEDY = {
  "line of code": "copy it; only a comment behind # may be translated",
  "row of a table":
    "give the Chinese row the same cells, and the same figures in the same order; translate a row that is new",
  "list entry": "translate it, in its place",
} as const;

/** A place that both files must have; `same` is what translation leaves as it is. */
interface Place {
  readonly kind: keyof typeof REMEDY;
  readonly line: number;
  readonly text: string;
  readonly same: string;
}

interface Section {
  readonly line: number;
  readonly heading: string;
  readonly places: Place[];
}

const levelOf = (heading: string): string => heading.replace(/ .*/, "");
const kindsOf = ({ places }: Section): string => places.map(({ kind }) => kind).join();

function shapeOf(row: string): string {
  if (/^[|: -]+$/.test(row)) return row.replaceAll(" ", "");
  const figures = row.match(/\d+(?:[.,]\d+)*/g) ?? [];
  return `${row.split(/(?<!\\)\|/).length - 2} cells, figures ${figures.join(" ")}`;
}

function sectionsOf(text: string): Section[] {
  const sections: Section[] = [{ line: 1, heading: "", places: [] }];
  let isCode = false;
  for (const [index, words] of text.split("\n").entries()) {
    const line = index + 1;
    const add = (kind: Place["kind"], same: string): number =>
      sections.at(-1)!.places.push({ kind, line, text: words, same });
    if (words.startsWith("```")) {
      isCode = !isCode;
      add("line of code", words);
    } else if (isCode) add("line of code", words.replace(/(?<!\S)# .*/, "").trimEnd());
    else if (/^#+ /.test(words)) sections.push({ line, heading: words, places: [] });
    else if (words.startsWith("|")) add("row of a table", shapeOf(words));
    else if (words.startsWith("- ")) add("list entry", "");
  }
  return sections.slice(1);
}

/** What to do to the Chinese headings, or nothing. */
function headingFault(english: readonly Section[], chinese: readonly Section[]): string {
  // A heading in between shifts those behind it: the first that does not fit is where to look.
  const fits = (at: number): boolean =>
    levelOf(english[at]!.heading) === levelOf(chinese[at]!.heading) &&
    (english.length === chinese.length || kindsOf(english[at]!) === kindsOf(chinese[at]!));
  let at = 0;
  while (at < english.length && at < chinese.length && fits(at)) at += 1;
  const [wanted, found] = [english[at], chinese[at]];
  const has = wanted && `${ENGLISH}:${wanted.line} has a heading "${wanted.heading}"`;
  const meets = found && `${CHINESE}:${found.line} has "${found.heading}"`;
  if (has && meets) return `${has} where ${meets}: translate the section that is missing, or take out what is too much`;
  if (has) return `${has} that ${CHINESE} lacks: translate it`;
  return meets ? `${meets}, a heading that ${ENGLISH} lacks: take it out` : "";
}

/** What to do to one Chinese section; where places were added or taken out, the first alone, for it shifts the rest. */
function faultsOf(english: Section, chinese: Section): string[] {
  const faults: string[] = [];
  for (let at = 0; at < Math.max(english.places.length, chinese.places.length); at += 1) {
    const [wanted, found] = [english.places[at], chinese.places[at]];
    if (wanted?.kind === found?.kind && wanted?.same === found?.same) continue;
    if (!wanted) faults.push(`${CHINESE}:${found!.line} has a ${found!.kind} that ${ENGLISH} lacks: take it out`);
    else if (!found || wanted.kind !== found.kind)
      faults.push(
        `${ENGLISH}:${wanted.line} has a ${wanted.kind} that ${CHINESE} lacks ` +
          `(${found ? `before line ${found.line}` : `at the end of "${chinese.heading}"`}): ` +
          `${wanted.kind === "row of a table" ? "translate it" : REMEDY[wanted.kind]}\n  ${wanted.text}\n  ${wanted.same}`,
      );
    else
      faults.push(
        `${ENGLISH}:${wanted.line} and ${CHINESE}:${found.line} differ in a ${wanted.kind}: ${REMEDY[wanted.kind]}\n` +
          `  wanted: ${wanted.same}\n  found:  ${found.same}\n  ${wanted.text}\n  ${found.text}`,
      );
  }
  return kindsOf(english) === kindsOf(chinese) ? faults : faults.slice(0, 1);
}

/** What there is to do; sections are compared only where they are the same ones. */
function faultsBetween(english: readonly Section[], chinese: readonly Section[]): string[] {
  const fault = headingFault(english, chinese);
  return fault ? [fault] : english.flatMap((section, at) => faultsOf(section, chinese[at]!));
}

const texts = { [ENGLISH]: readFileSync(ENGLISH, "utf8"), [CHINESE]: readFileSync(CHINESE, "utf8") };
const [english, chinese] = [sectionsOf(texts[ENGLISH]), sectionsOf(texts[CHINESE])];

describe("the comparison of this test", () => {
  const base = "# A\n```\nrun  # why\n```\n| a 5 | b |\n|---|---|\n| 1,000 in 4.2 s | x |\n## B\n";
  const other = "# 甲\n```\nrun  # 为何\n```\n| 甲 5 | 乙 |\n|---|---|\n| 4.2 s 内 1,000 | x |\n## 乙\n";
  const faults = (left: string, right: string): string[] => faultsBetween(sectionsOf(left), sectionsOf(right));

  it("lets comments be translated, and names the row whose figures differ", () => {
    const found = faults(base, other);
    assert.equal(found.length, 1);
    assert.match(found[0]!, /^README.md:7 and README.zh-CN.md:7 .*\n {2}wanted: 2 cells, figures 1,000 4.2\n/);
    assert.deepEqual(faults(base, other.replace("4.2 s 内 1,000", "1,000 个用 4.2 s")), []);
  });

  it("names what is missing and what is too much", () => {
    assert.match(faults(`${base}## C\n`, other)[0]!, /^README.md:9 has a heading "## C" that README.zh-CN.md lacks/);
    assert.match(faults(base, `${other}## 丙\n`)[0]!, /^README.zh-CN.md:9 has "## 丙", .* take it out$/);
    assert.match(faults(base, other.replace(/^\| 4.*\n/m, ""))[0]!, /^README.md:7 has a row of a table that /);
    assert.match(
      faults(`${base}- x\n`, other.replace("4.2 s 内 1,000", "1,000 4.2"))[0]!,
      /^README.md:9 has a list entry that README.zh-CN.md lacks/,
    );
  });
});

describe("README.zh-CN.md", () => {
  it("has the sections, commands, rows of figures and list entries that README.md has", () => {
    const faults = faultsBetween(english, chinese);
    assert.ok(faults.length === 0, faults.join("\n\n"));
  });

  it("links where README.md links, in the same order", () => {
    const linksOf = (text: string): string[] => [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link!);
    const [wanted, found] = [linksOf(texts[ENGLISH]), linksOf(texts[CHINESE])];
    const other = new Map([["README.zh-CN.md", "README.md"]]);
    assert.deepEqual(
      found,
      wanted.map((link) => other.get(link) ?? link),
    );
  });

  it("has full-width punctuation after Chinese characters, and the words of the field", () => {
    const prose = texts[CHINESE]
      .replace(/^```[\s\S]*?^```/gm, "")
      .replace(/`[^`]*`/g, "x")
      .replace(/\]\([^)]*\)/g, "]");
    const lines = prose.split("\n");
    assert.deepEqual(
      lines.filter((line) => /[\p{Script=Han}」”）》][*]*[,:;()!?]|[,;(][*]*\p{Script=Han}/u.test(line)),
      [],
      "write ，：；（）！？ next to Chinese",
    );
    assert.doesNotMatch(prose, /慢读者/, "a slow reader is 慢消费者");
  });
});
