/**
 * What a run of tests amounts to: which file may be run once more, and the last lines of the output, where CI shows no others:
 * what could not be run here, what was flaky, what failed. Pure.
 */
import type { FailedTest, Outcome, SkippedTest } from "./job.js";

/** A failure of these is never chance: order, numbering and recovery are held by them, or a seed repeats it. */
const NEVER_AGAIN = /\b(hub|topics?|session|catch-?up|chaos|property|properties|fuzz)\b/;
/** A property test, whatever its name. */
const PROPERTY = /from "fast-check"/;

export function mayRunAgain(file: string, source: string): boolean {
  return !NEVER_AGAIN.test(file) && !PROPERTY.test(source);
}

/** The one file that is run once more. None where several have failed, or where the process did not say which. */
export function runAgain(outcomes: readonly Outcome[], sourceOf: (file: string) => string): string | undefined {
  const [file, ...others] = new Set(outcomes.flatMap(({ failed }) => failed.map((test) => test.file)));
  if (file === undefined || others.length > 0) return undefined;
  return mayRunAgain(file, sourceOf(file)) ? file : undefined;
}

export interface Flaky {
  readonly file: string;
  readonly first: readonly FailedTest[];
  readonly seeds: readonly string[];
}

/** Whatever calls itself a seed, in the output of a file that failed. */
export function seedsIn(output: string): string[] {
  return [...new Set([...output.matchAll(/\bseed\b["']?(?: is)?[:=]? ?(-?\d+)/gi)].map(([, seed]) => seed!))];
}

/** A lack of the machine begins so; any other skip is no lack, such as a trial that the machine's noise has spoilt. */
const isLack = ({ reason }: SkippedTest): boolean => reason.startsWith("needs ");

export interface Final {
  readonly outcomes: readonly Outcome[];
  readonly flaky: Flaky | undefined;
  readonly seconds: number;
  /** NO_SKIPS=1: a lack is a failure. */
  readonly noSkips: boolean;
}

/** The last lines, and whether the run has passed. */
export function conclude({ outcomes, flaky, seconds, noSkips }: Final): { lines: string[]; passed: boolean } {
  const failed = outcomes.flatMap((outcome) => outcome.failed);
  const lacks = outcomes.flatMap(({ skipped }) => skipped.filter(isLack));
  const tests = outcomes.reduce((sum, outcome) => sum + outcome.tests, 0);
  const passed = failed.length === 0 && !(noSkips && lacks.length > 0);
  const counts = `${tests} tests in ${Math.round(seconds)} s`;
  const verdict = passed ? "passed" : "FAILED";
  const parts = [
    failed.length > 0 && `${failed.length} failed`,
    flaky && "1 file was flaky",
    lacks.length > 0 && `${lacks.length} could not be run here${noSkips ? ", and NO_SKIPS=1 is set" : ""}`,
  ].filter((part) => typeof part === "string");
  return {
    lines: [
      ...notRun(lacks),
      ...flakyLines(flaky),
      ...failed.flatMap(failureLines),
      "",
      `${verdict}: ${[counts, ...parts].join(", ")}`,
    ],
    passed,
  };
}

function notRun(lacks: readonly SkippedTest[]): string[] {
  if (lacks.length === 0) return [];
  const reasons = [...new Set(lacks.map(({ reason }) => reason))];
  const rows = reasons.flatMap((reason) => {
    const those = lacks.filter((lack) => lack.reason === reason);
    const files = [...new Set(those.map(({ file }) => file))];
    return [
      `  ${reason}`,
      ...files.map((file) => `      ${file}: ${named(those.filter((lack) => lack.file === file))}`),
    ];
  });
  const packages = new Set(
    reasons.flatMap((reason) => /apt-get install ([\w. -]+)/.exec(reason)?.[1]?.split(" ") ?? []),
  );
  const remedy =
    packages.size > 0 && `  all of them: apt-get install --no-install-recommends ${[...packages].join(" ")}`;
  return ["", "Could not be run on this machine:", ...rows, ...(remedy ? [remedy] : [])];
}

const named = (tests: readonly SkippedTest[]): string =>
  tests.length === 1 ? tests[0]!.name : `${tests.length} tests`;

function flakyLines(flaky: Flaky | undefined): string[] {
  if (flaky === undefined) return [];
  const seeds = flaky.seeds.length > 0 ? ` (seed ${flaky.seeds.join(", ")})` : "";
  const first = flaky.first.map(({ name, error }) => `  ${name}: ${firstLine(error)}`);
  return [
    "",
    `FLAKY: ${flaky.file}${seeds} failed, and passed when it was run again alone. Its cause is to be found:`,
    ...first,
  ];
}

const firstLine = (error: string): string => error.split("\n").find((line) => line.trim() !== "") ?? "";

/** So much of each error: the tail that CI shows has room for several. */
const ERROR_LINES = 30;
const LINE_LENGTH = 400;

function failureLines({ file, name, error }: FailedTest): string[] {
  const lines = error.split("\n");
  const more = lines.length > ERROR_LINES ? [`    … ${lines.length - ERROR_LINES} more lines above`] : [];
  return [
    "",
    `✖ ${file ?? "in a batch"}: ${name}`,
    ...lines.slice(0, ERROR_LINES).map((line) => `    ${line.slice(0, LINE_LENGTH)}`),
    ...more,
  ];
}
