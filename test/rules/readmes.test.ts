/**
 * What READMEs say by hand is true of the tree: paths, headings that are linked to, make targets, commands and flags exist (links
 * to files: repository.test.ts), and each README keeps to its length, so that a reader finds the end of it. Their generated
 * parts are drift.test.ts.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { LOAD_OPTIONS } from "../../load/options.js";
import { SCENARIO_OPTIONS } from "../../load/scenarios/options.js";
import { PLAN_OPTIONS } from "../../load/sizing/options.js";
import { DRAIN_OPTIONS } from "../../src/commands/drain.js";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import { flagName } from "../../src/config/table.js";
import { DOCTOR_OPTIONS } from "../../sysctl/doctor/command.js";
import { TUNE_OPTIONS } from "../../sysctl/tune/command.js";
import { trackedFiles } from "../support/repository.js";

/** The most lines of each README. The root is read by everybody: what only some need stands in the README of a folder. */
const MAX_LINES: Readonly<Record<string, number>> = {
  "README.md": 180,
  "README.zh-CN.md": 180,
  "dashboards/README.md": 170,
  "load/README.md": 130,
  "load/results/README.md": 60,
  "load/sizing/README.md": 150,
  "src/README.md": 250,
  "src/admin/README.md": 60,
  "src/admission/README.md": 110,
  "src/client/README.md": 120,
  "src/config/README.md": 110,
  "src/protocol/README.md": 90,
  "src/publish/README.md": 60,
  "src/supervision/README.md": 110,
  "src/topics/README.md": 70,
  "sysctl/README.md": 160,
  "test/README.md": 60,
};

/** Made by a run, and ignored by git. */
const MADE_LATER = new Set(["load/results/latest.json"]);
const TOP_FOLDERS = ["src", "load", "sysctl", "test", "dashboards", ".ci", ".github"];
/** Flags of npm, Docker and commander, and those that a command declares outside its table. */
const OTHER_FLAGS = new Set(
  "--help --init --stop-timeout --force --save-exact --grace-period --config --print-config --key --all --watch".split(
    " ",
  ),
);

const read = (path: string): string => readFileSync(path, "utf8");
/** Without the parts that tables render. */
const written = (path: string): string => read(path).replace(/<!-- generated:[\s\S]*?<!-- end -->/g, "");
const readmes = trackedFiles().filter((path) => /(?:^|\/)README(?:\.zh-CN)?\.md$/.test(path));

/** `found` in the text of each README that is no member of `known`, with its place. */
function unknown(
  found: (text: string) => readonly string[],
  isKnown: (name: string, path: string) => boolean,
): string[] {
  return readmes.flatMap((path) =>
    found(written(path))
      .filter((name) => !isKnown(name, path))
      .map((name) => `${path}: ${name}`),
  );
}

const all =
  (pattern: RegExp) =>
  (text: string): string[] =>
    [...text.matchAll(pattern)].map(([, name]) => name!);

it("every README has a limit to its length, and keeps it", () => {
  const lines = readmes.map((path) => [path, read(path).trimEnd().split("\n").length] as const);
  assert.deepEqual(
    lines.filter(([path, count]) => !(count <= (MAX_LINES[path] ?? 0))).map((line) => line.join(": ")),
    [],
  );
});

describe("what a README names exists", () => {
  it("headings that it links to", () => {
    const fragments = (path: string): string[] =>
      (read(path).match(/^#+ .*/gm) ?? []).map((heading) =>
        heading
          .replace(/^#+ /, "")
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, "")
          .replaceAll(" ", "-"),
      );
    const links = all(/\]\(((?!https?:)[^)\s]*#[^)\s]+)\)/g);
    const leads = (link: string, path: string): boolean => {
      const [file = "", fragment = ""] = link.split("#");
      const target = file === "" ? path : join(dirname(path), file);
      return existsSync(target) && (!target.endsWith(".md") || fragments(target).includes(fragment));
    };
    assert.deepEqual(unknown(links, leads), []);
  });

  it("paths of the repository; in a folder's own README also those that begin there or in src/", () => {
    const exists = (name: string, path: string): boolean => {
      const first = name.split("/")[0]!;
      if (MADE_LATER.has(name)) return true;
      if (TOP_FOLDERS.includes(first)) return existsSync(name);
      const base = [dirname(path), "src"].find((folder) => existsSync(join(folder, first)));
      return base === undefined || existsSync(join(base, name));
    };
    assert.deepEqual(unknown(all(/`((?:[\w.-]+\/)+[\w.-]*)`/g), exists), []);
  });

  it("make targets, in the Makefile's callers too", () => {
    const targets = new Set([...read("Makefile").matchAll(/^([a-z-]+):/gm)].map(([, name]) => name!));
    const named = all(/(?:^|`|&& |run: )make ([a-z]+(?:-[a-z]+)*)(?![\w-])/gm);
    assert.deepEqual(
      unknown(named, (name) => targets.has(name)),
      [],
    );
    assert.deepEqual(
      named(read(".ci/run")).filter((name) => !targets.has(name)),
      [],
    );
  });

  it("commands of megagate", () => {
    const sources = trackedFiles().filter((path) => /^(?:src|load|sysctl)\/.*\.ts$/.test(path));
    const commands = new Set(sources.flatMap((path) => all(/\.command\("([a-z-]+)/g)(read(path))));
    assert.ok(commands.has("serve"), "the way in which commands are declared has changed: mend this test");
    assert.deepEqual(
      unknown(all(/(?:dist\/src\/cli\.js|`megagate) ([a-z-]+)/g), (name) => commands.has(name)),
      [],
    );
  });

  it("flags", () => {
    const tables = [
      SERVE_OPTIONS,
      LOAD_OPTIONS,
      SCENARIO_OPTIONS,
      TUNE_OPTIONS,
      PLAN_OPTIONS,
      DRAIN_OPTIONS,
      DOCTOR_OPTIONS,
    ];
    const flags = new Set(tables.flatMap((table) => Object.keys(table).map((key) => `--${flagName(key)}`)));
    assert.deepEqual(
      unknown(all(/(?<![\w-])(--[a-z][a-z-]*)/g), (flag) => flags.has(flag) || OTHER_FLAGS.has(flag)),
      [],
    );
  });
});
