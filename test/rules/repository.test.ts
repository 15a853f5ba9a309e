/**
 * What a newcomer meets first: a top level that holds what it should, guides whose paths, commands and links lead somewhere, forms that
 * GitHub can read, and one version of both packages, with its part of the changelog.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { trackedFiles } from "../support/repository.js";

const TOP = new Set(
  "package.json tsconfig.json src load sysctl dashboards test Makefile README.md LICENSE package-lock.json README.zh-CN.md CHANGELOG.md".split(
    " ",
  ),
);
const CONTRIBUTING = ".github/CONTRIBUTING.md";
const GUIDES = [CONTRIBUTING, ".github/SECURITY.md", "src/client/README.md", "CHANGELOG.md"];
/** What a newcomer must be able to find from the tree alone. */
const TO_FIND = 12;

const read = (path: string): string => readFileSync(path, "utf8");
const json = (path: string): Record<string, unknown> => JSON.parse(read(path)) as Record<string, unknown>;
const files = trackedFiles();

it("the top level holds nothing else; what configures a tool has a dot, or stands in test/rules", () => {
  const names = [...new Set(files.map((path) => path.split("/")[0]!))];
  assert.deepEqual(
    names.filter((name) => !TOP.has(name) && !name.startsWith(".")),
    [],
  );
});

describe("the guides", () => {
  it(`say where to find ${TO_FIND} things, with paths`, () => {
    const [, table = ""] = /## Where to find\n\n([\s\S]*?)\n\n/.exec(read(CONTRIBUTING)) ?? [];
    const rows = table.split("\n").slice(2);
    assert.equal(rows.length, TO_FIND);
    for (const row of rows) assert.match(row, /`(?:src|load|sysctl)\/[^`]+`/, row);
  });

  it("name paths, make targets and npm scripts that exist", () => {
    const targets = new Set([...read("Makefile").matchAll(/^([a-z-]+):/gm)].map(([, name]) => name));
    const scripts = json("package.json").scripts as Record<string, string>;
    for (const guide of GUIDES) {
      const text = read(guide);
      for (const [, path = ""] of text.matchAll(/(?:`|FILE=)((?:src|load|sysctl|test|dashboards)\/[\w./-]*)/g))
        assert.ok(existsSync(path), `${guide} names ${path}, which is not there`);
      for (const [, name = ""] of text.matchAll(/(?:^|`|: )make ([a-z-]+)/gm))
        assert.ok(targets.has(name), `${guide} names make ${name}, which the Makefile has not`);
      for (const [, name = ""] of text.matchAll(/npm run ([a-z:-]+)/g))
        assert.ok(name in scripts, `${guide} names npm run ${name}, which package.json has not`);
    }
  });

  it("and every other document link to files that exist", () => {
    const documents = files.filter((path) => path.endsWith(".md"));
    assert.ok(GUIDES.every((guide) => documents.includes(guide)));
    const missing = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
        .map(([, link = ""]) => join(path, "..", link))
        .filter((target) => !existsSync(target)),
    );
    assert.deepEqual(missing, []);
  });
});

it("issue forms have what GitHub asks of them", () => {
  const forms = files.filter((path) => /^\.github\/ISSUE_TEMPLATE\/(?!config).*\.yml$/.test(path));
  assert.equal(forms.length, 3);
  for (const path of forms) {
    const { name, description, body } = parse(read(path)) as {
      [key: string]: unknown;
      body: Record<string, unknown>[];
    };
    assert.ok(typeof name === "string" && typeof description === "string", path);
    for (const { type, id, attributes } of body) {
      const { label, value } = attributes as Record<string, unknown>;
      if (type === "markdown") assert.equal(typeof value, "string", path);
      else assert.ok(["textarea", "input", "dropdown"].includes(String(type)) && id && label, path);
    }
  }
});

it("CI runs what is in .ci/run, on the oldest Node that is supported", () => {
  const { jobs } = parse(read(".github/workflows/ci.yml")) as {
    jobs: { check: { container: { image: string }; steps: { run?: string }[] } };
  };
  assert.ok(jobs.check.steps.some(({ run }) => run === ".ci/run"));
  const major = read(".nvmrc").trim();
  assert.ok(jobs.check.container.image.startsWith(`node:${major}-`));
  assert.match(String((json("package.json").engines as Record<string, string>).node), new RegExp(`^>=${major}\\.`));
});

it("both packages have one version, which the changelog describes", () => {
  const version = String(json("package.json").version);
  assert.equal(json("src/client/package.json").version, version);
  assert.equal(json("package-lock.json").version, version);
  assert.ok(read("CHANGELOG.md").includes(`\n## ${version} `), `CHANGELOG.md has no part for ${version}`);
});

it("the lock file names no registry", () => {
  assert.deepEqual(read("package-lock.json").match(/"resolved": "https?:.*/g), null);
});
