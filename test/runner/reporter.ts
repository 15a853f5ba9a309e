/**
 * A reporter of node:test, in the process of a test file: one line of JSON for each test that failed or was skipped, and a last
 * one that says how many there were, which is missing where the process ended before its tests. job.ts reads them.
 */
import type { TestEvent } from "node:test/reporters";

export interface Failure {
  /** The file, or where there are several in the process the name of the suite around the test, which is the file's path. */
  readonly suite: string;
  readonly name: string;
  readonly error: string;
}

export interface Skip {
  readonly suite: string;
  readonly name: string;
  readonly reason: string;
}

export type Line =
  | ({ readonly type: "failed" } & Failure)
  | ({ readonly type: "skipped" } & Skip)
  | { readonly type: "end"; readonly tests: number };

export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const path: string[] = [];
  let tests = 0;
  for await (const event of source) {
    if (event.type === "test:start") {
      path.length = event.data.nesting;
      path.push(event.data.name);
    }
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    const { name, nesting, skip, details } = event.data;
    const isSuite = details.type === "suite";
    if (!isSuite) tests += 1;
    const at = { suite: path[0] ?? "", name: [...path.slice(0, nesting), name].join(" > ") };
    if (skip !== undefined) yield text({ type: "skipped", ...at, reason: typeof skip === "string" ? skip : "" });
    else if (event.type === "test:fail" && !isOfSubtests(event.data.details.error)) {
      yield text({ type: "failed", ...at, error: errorText(event.data.details.error) });
    }
  }
  yield text({ type: "end", tests });
}

const text = (line: Line): string => `${JSON.stringify(line)}\n`;

/** A suite fails because of its tests, which have been named. */
const isOfSubtests = (error: Error): boolean => (error as { failureType?: string }).failureType === "subtestsFailed";

function errorText(error: Error): string {
  const { cause } = error;
  if (cause instanceof Error) return cause.stack ?? cause.message;
  return typeof cause === "string" ? cause : error.message;
}
