/**
 * A file is one thought: at most 400 lines, and none below 20 lines with one user, which is a part of that user. A file that
 * has to break the rule is listed here with its reason; a line for a file that keeps the rule, or that is gone, fails as well.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { trackedFiles } from "../support/repository.js";

const MAX_LINES = 400;
const CRUMB_LINES = 20;

const LONG: Readonly<Record<string, string>> = {
  "src/config/options.ts": "the table of all options of serve",
};

/** Files below 20 lines with one user that stay by themselves. */
const SMALL: Readonly<Record<string, string>> = {};

interface Source {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly string[];
}

const isTest = (path: string): boolean => path.startsWith("test/");

/** Imports by `from "./x.js"`, `import "./x.js"` and `import("./x.js")`, as paths of .ts files from the root. */
const importsOf = (path: string, text: string): string[] =>
  [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"]+)\.js"/g)].map(([, name = ""]) =>
    join(path, "..", `${name}.ts`),
  );

const read = (path: string): Source => {
  const text = readFileSync(path, "utf8");
  return {
    path,
    lines: text.split("\n").length - 1,
    imports: importsOf(path, text),
  };
};

/** Who imports a file. A test is a user only of what serves tests: it says nothing of where code of the program belongs. */
const usersOf = (file: Source, sources: readonly Source[]): string[] =>
  sources
    .filter(({ path, imports }) => imports.includes(file.path) && (isTest(file.path) || !isTest(path)))
    .map(({ path }) => path);

function longFaults(sources: readonly Source[], allowed: Readonly<Record<string, string>>): string[] {
  const long = sources.filter(({ lines }) => lines > MAX_LINES);
  return [
    ...long
      .filter(({ path }) => !allowed[path])
      .map(
        ({ path, lines }) => `${path} has ${lines} lines, over ${MAX_LINES}: split it where a second thought begins`,
      ),
    ...stale(allowed, long, `no file over ${MAX_LINES} lines`),
  ];
}

function crumbFaults(sources: readonly Source[], allowed: Readonly<Record<string, string>>): string[] {
  const small = sources.flatMap((file) => {
    const users = file.lines < CRUMB_LINES ? usersOf(file, sources) : [];
    return users.length === 1 ? [{ ...file, user: users[0]! }] : [];
  });
  return [
    ...small
      .filter(({ path }) => !allowed[path])
      .map(({ path, lines, user }) => `${path} has ${lines} lines and one user: fold it into ${user}`),
    ...stale(allowed, small, `no file below ${CRUMB_LINES} lines with one user`),
  ];
}

const stale = (allowed: Readonly<Record<string, string>>, found: readonly { path: string }[], what: string): string[] =>
  Object.keys(allowed)
    .filter((name) => !found.some(({ path }) => path === name))
    .map((name) => `${name} is ${what}: take its line out of this test`);

describe("sizes of files", () => {
  const sources = trackedFiles()
    .filter((path) => /^(src|load|sysctl|test)\/.*\.ts$/.test(path))
    .map(read);

  it(`no file is over ${MAX_LINES} lines but those listed with a reason`, () => {
    assert.ok(sources.length > 100, "files were found");
    assert.deepEqual(longFaults(sources, LONG), []);
  });

  it(`no file below ${CRUMB_LINES} lines has one user but those listed with a reason`, () => {
    assert.deepEqual(crumbFaults(sources, SMALL), []);
  });

  it("names the file, its user and the line that is no longer needed", () => {
    const file = (path: string, lines: number, text = ""): Source => ({
      path,
      lines,
      imports: importsOf(path, text),
    });
    const some = [
      file("src/a/long.ts", 401),
      file("src/a/crumb.ts", 19),
      file("src/a/shared.ts", 3),
      file("src/a/user.ts", 40, `import { x } from "./crumb.js";\nimport("./shared.js")`),
      file("src/b/user.ts", 40, `import "../a/shared.js";`),
      file("test/unit/a.test.ts", 40, `import { x } from "../../src/a/crumb.js";`),
    ];
    assert.match(longFaults(some, {}).join(), /^src\/a\/long\.ts has 401 lines, over 400/);
    assert.deepEqual(crumbFaults(some, {}), ["src/a/crumb.ts has 19 lines and one user: fold it into src/a/user.ts"]);
    assert.deepEqual(crumbFaults(some, { "src/a/crumb.ts": "a reason" }), []);
    assert.match(
      longFaults(some, { "src/a/long.ts": "x", "src/gone.ts": "y" }).join(),
      /^src\/gone\.ts is no file over/,
    );
  });
});
