/**
 * What is written for people agrees with the tables in code: the README's generated parts are what the tables render,
 * and every make target that a text names exists. `UPDATE=1` rewrites the generated parts instead (make docs).
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { it } from "node:test";
import { LOAD_OPTIONS } from "../../load/options.js";
import { SCENARIO_OPTIONS } from "../../load/scenarios/options.js";
import { workedPlan } from "../../load/sizing/examples.js";
import { PLAN_OPTIONS } from "../../load/sizing/options.js";
import { renderPlanMarkdown } from "../../load/sizing/report.js";
import { DRAIN_OPTIONS } from "../../src/commands/drain.js";
import { renderMarkdown } from "../../src/config/help.js";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import { USUAL_SLOW_READER } from "../../src/config/slow-cost.js";
import { ERRORS } from "../../src/errors.js";
import { METRICS } from "../../src/metrics/catalog.js";
import { ADMIN_REFUSE_REASONS, CLOSE_REASONS, REFUSE_REASONS, UNSENT_REASONS } from "../../src/metrics/reasons.js";
import { DOCTOR_OPTIONS } from "../../sysctl/doctor/command.js";
import { TUNE_OPTIONS } from "../../sysctl/tune/command.js";

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(0)} KB`;

/** By the default options. */
function slowReaderSentence(): string {
  const cost = USUAL_SLOW_READER;
  const [waiting, user, kernel] = [cost.waiting, cost.user, cost.kernel].map(kilobytes);
  const many = `5,000 of them cost at most ${Math.round((5000 * cost.user) / 1e6)} MB and ${Math.round((5000 * cost.kernel) / 1e6)} MB.`;
  return `With the default options at most ${waiting} wait in the worker for a reader that stopped reading; they cost at most ${user} of its memory,
because the buffer doubles when it grows, and ${kernel} in the kernel after \`make tune\`. ${many}`;
}

const rows = (cells: readonly (readonly (string | number)[])[]): string =>
  cells.map((row) => `| ${row.join(" | ")} |`).join("\n");

const generated: Readonly<Record<string, () => string>> = {
  "serve options": () => renderMarkdown(SERVE_OPTIONS, "serve"),
  "load options": () => renderMarkdown(LOAD_OPTIONS, "load"),
  "scenario options": () => renderMarkdown(SCENARIO_OPTIONS, "load"),
  "tune options": () => renderMarkdown(TUNE_OPTIONS, "tune"),
  "plan options": () => renderMarkdown(PLAN_OPTIONS, "plan"),
  "plan for 10 million": () => renderPlanMarkdown(workedPlan("10m")),
  "plan for 100 million": () => renderPlanMarkdown(workedPlan("100m")),
  "drain options": () => renderMarkdown(DRAIN_OPTIONS, "drain"),
  "doctor options": () => renderMarkdown(DOCTOR_OPTIONS, "doctor"),
  "slow reader cost": slowReaderSentence,
  codes: () =>
    rows([
      ["code", "close code", "HTTP", "client should", "meaning"],
      ["---", "---", "---", "---", "---"],
      ...Object.values(ERRORS)
        .filter((row) => !("exit" in row))
        .map((row) => [row.code, "close" in row ? row.close : "—", row.http, ADVICE[row.retry], row.text]),
    ]),
  metrics: () =>
    rows([
      ["metric", "type", "labels", "meaning"],
      ["---", "---", "---", "---"],
      ...[...METRICS.values()].map((m) => [`\`${m.name}\``, m.type, m.labels?.join(", ") ?? "", m.help]),
    ]),
  "close reasons": () => rows([["reason", "meaning"], ["---", "---"], ...Object.entries(CLOSE_REASONS)]),
  "unsent reasons": () => rows([["reason", "meaning"], ["---", "---"], ...Object.entries(UNSENT_REASONS)]),
  "refuse reasons": () => rows([["reason", "meaning"], ["---", "---"], ...Object.entries(REFUSE_REASONS)]),
  "admin refuse reasons": () => rows([["reason", "meaning"], ["---", "---"], ...Object.entries(ADMIN_REFUSE_REASONS)]),
};

const ADVICE = {
  stay: "go on",
  now: "come back at once",
  window: "come back within the window",
  never: "not come back unchanged",
} as const;

const block = (name: string): RegExp => new RegExp(`(<!-- generated: ${name} -->\n)[\\s\\S]*?(<!-- end -->)`);

for (const [name, render] of Object.entries(generated)) {
  it(`README: ${name}`, () => {
    const readme = readFileSync("README.md", "utf8");
    assert.match(readme, block(name), `README.md has no part <!-- generated: ${name} -->`);
    const wanted = readme.replace(block(name), (_all, head: string, tail: string) => `${head}${render()}\n${tail}`);
    if (process.env.UPDATE === "1") writeFileSync("README.md", wanted);
    else assert.ok(readme === wanted, `README.md: the part "${name}" is not what the table says; run: make docs`);
  });
}

it("every make target that README and Makefile help name exists", () => {
  const makefile = readFileSync("Makefile", "utf8");
  const targets = new Set([...makefile.matchAll(/^([a-z-]+):/gm)].map((match) => match[1]));
  const texts = [readFileSync("README.md", "utf8"), readFileSync(".ci/run", "utf8")];
  const named = texts.flatMap((text) =>
    [...text.matchAll(/(?:^|`|&& |run: )make ([a-z]+(?:-[a-z]+)*)(?![\w-])/gm)].map((match) => match[1]!),
  );
  const missing = named.filter((name) => !targets.has(name));
  assert.deepEqual(missing, []);
});
