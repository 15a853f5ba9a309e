/**
 * The generated parts of every README are what the tables in code render. Each part stands once, in whichever README; another README links to it.
 * `UPDATE=1` rewrites them instead (make docs). What READMEs say by hand is readmes.test.ts.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { it } from "node:test";
import { LOAD_OPTIONS } from "../../load/options.js";
import { SCENARIO_OPTIONS } from "../../load/scenarios/options.js";
import { workedPlan } from "../../load/sizing/examples.js";
import { PLAN_OPTIONS } from "../../load/sizing/options.js";
import { renderPlanMarkdown } from "../../load/sizing/report.js";
import { adminRoutes, type RouteDeps } from "../../src/admin/routes.js";
import { DRAIN_OPTIONS } from "../../src/commands/drain.js";
import { renderMarkdown } from "../../src/config/help.js";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import { USUAL_SLOW_READER } from "../../src/config/slow-cost.js";
import { ERRORS } from "../../src/errors.js";
import { METRICS } from "../../src/metrics/catalog.js";
import { ADMIN_REFUSE_REASONS, CLOSE_REASONS, REFUSE_REASONS, UNSENT_REASONS } from "../../src/metrics/reasons.js";
import { DOCTOR_OPTIONS } from "../../sysctl/doctor/command.js";
import { TUNE_OPTIONS } from "../../sysctl/tune/command.js";
import { trackedFiles } from "../support/repository.js";

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

/** The options of `serve` as src/config/README.md groups them; each begins with the option that is named here. */
const SERVE_GROUPS: Readonly<Partial<Record<keyof typeof SERVE_OPTIONS, string>>> = {
  host: "Addresses",
  authSecretFile: "Authentication",
  connections: "Size and admission",
  idleTimeoutSeconds: "Clients",
  maxPublicationBytes: "Topics",
  adminConnections: "Admin port and publishing",
  stopSeconds: "Stopping",
  stateDir: "Files, log lines, trying out",
};

function serveOptions(): string {
  const [head, rule, ...options] = renderMarkdown(SERVE_OPTIONS, "serve").split("\n");
  const names = Object.keys(SERVE_OPTIONS) as (keyof typeof SERVE_OPTIONS)[];
  const groupRow = (title: string | undefined): string[] => (title ? [`| **${title}** | | | | | |`] : []);
  return [head, rule, ...options.flatMap((row, at) => [...groupRow(SERVE_GROUPS[names[at]!]), row])].join("\n");
}

const REASONS = {
  megagate_closed_total: CLOSE_REASONS,
  megagate_refused_total: REFUSE_REASONS,
  megagate_admin_refused_total: ADMIN_REFUSE_REASONS,
  megagate_unsent_messages_total: UNSENT_REASONS,
} as const;

const generated: Readonly<Record<string, () => string>> = {
  "serve options": serveOptions,
  "load options": () => renderMarkdown(LOAD_OPTIONS, "load"),
  "scenario options": () => renderMarkdown(SCENARIO_OPTIONS, "load"),
  "tune options": () => renderMarkdown(TUNE_OPTIONS, "tune"),
  "plan options": () => renderMarkdown(PLAN_OPTIONS, "plan"),
  "plan for 10 million": () => renderPlanMarkdown(workedPlan("10m")),
  "plan for 100 million": () => renderPlanMarkdown(workedPlan("100m")),
  "drain options": () => renderMarkdown(DRAIN_OPTIONS, "drain"),
  "doctor options": () => renderMarkdown(DOCTOR_OPTIONS, "doctor"),
  "slow reader cost": slowReaderSentence,
  "admin routes": () =>
    rows([
      ["route", "scope"],
      ["---", "---"],
      // Asked for their scopes alone.
      ...Object.entries(adminRoutes({} as RouteDeps)).map(([route, { scope }]) => [`\`${route}\``, scope]),
    ]),
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
  reasons: () =>
    rows([
      ["reason", "meaning"],
      ["---", "---"],
      ...Object.entries(REASONS).flatMap(([metric, reasons]) => [
        [`**\`${metric}\`**`, ""],
        ...Object.entries(reasons),
      ]),
    ]),
};

const ADVICE = {
  stay: "go on",
  now: "come back at once",
  window: "come back within the window",
  never: "not come back unchanged",
} as const;

const block = (name: string): RegExp => new RegExp(`(<!-- generated: ${name} -->\n)[\\s\\S]*?(<!-- end -->)`);

const READMES = trackedFiles().filter((path) => /(?:^|\/)README\.md$/.test(path));

for (const [name, render] of Object.entries(generated)) {
  it(`generated: ${name}`, () => {
    const [path, ...others] = READMES.filter((readme) => block(name).test(readFileSync(readme, "utf8")));
    assert.ok(path, `no README has the part <!-- generated: ${name} -->`);
    assert.deepEqual(others, [], `"${name}" stands in ${path} already: link to it`);
    const readme = readFileSync(path, "utf8");
    const wanted = readme.replace(block(name), (_all, head: string, tail: string) => `${head}${render()}\n${tail}`);
    if (process.env.UPDATE === "1") writeFileSync(path, wanted);
    else assert.ok(readme === wanted, `${path}: the part "${name}" is not what the table says; run: make docs`);
  });
}

it("every generated part of a README is one of those", () => {
  const named = READMES.flatMap((path) => readFileSync(path, "utf8").match(/(?<=<!-- generated: ).*(?= -->)/g) ?? []);
  assert.deepEqual(
    named.filter((name) => !Object.hasOwn(generated, name)),
    [],
  );
});
