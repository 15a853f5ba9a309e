/**
 * What the doctor found, as text: the first ceiling in one sentence, a table sorted by where each limit bites, and for each
 * that is low the reason, what is seen when it is hit, and the remedy. Pure; the caller says whether colour is welcome.
 */
import pc from "picocolors";
import { columns, paragraphs } from "../report.js";
import type { Ceiling, Verdict } from "./ceiling.js";
import { firstCeiling } from "./ceilings.js";
import type { DoctorPlan, Facts, Surrounding } from "./facts.js";
import { gigabytes, grouped } from "./words.js";

type Colours = ReturnType<typeof pc.createColors>;

const SURROUNDINGS: Readonly<Record<Surrounding, string>> = {
  host: "not in a container or service",
  systemd: "systemd service",
  docker: "container",
  kubernetes: "Kubernetes pod",
};
const ENDS: Readonly<Record<DoctorPlan["side"], string>> = {
  server: "the gateway's ends",
  client: "the clients' ends",
  both: "both ends",
};
const VERDICT_TEXT: Readonly<Record<Verdict, string>> = { ok: "ok", low: "LOW", unknown: "COULD NOT TELL" };

export function reportDoctor(ceilings: readonly Ceiling[], facts: Facts, plan: DoctorPlan, colour: boolean): string {
  const colours = pc.createColors(colour);
  const low = ceilings.filter(({ verdict }) => verdict === "low");
  const unknown = ceilings.filter(({ verdict }) => verdict === "unknown");
  return paragraphs([
    [
      colours.bold(`Ceilings for ${grouped(plan.connections)} connections, ${ENDS[plan.side]} on this machine`),
      machine(facts),
    ],
    [firstLine(ceilings, plan, colours)],
    [
      table(
        ceilings.filter(({ counts }) => counts),
        "connections fit",
        colours,
      ),
    ],
    [
      table(
        ceilings.filter(({ counts }) => !counts),
        "",
        colours,
      ),
    ],
    ...[...low, ...unknown].map((ceiling) => paragraph(ceiling, colours)),
  ]);
}

function machine(facts: Facts): string {
  const memory = facts.memory ? `, ${gigabytes(facts.memory.totalBytes)} of memory` : "";
  const unit = facts.unit === null ? "" : ` ${facts.unit}`;
  return `${grouped(facts.cores)} cores${memory}, Linux ${facts.kernel}, ${SURROUNDINGS[facts.surrounding]}${unit}`;
}

function firstLine(ceilings: readonly Ceiling[], plan: DoctorPlan, colours: Colours): string {
  const first = firstCeiling(ceilings);
  if (first?.connections == null) return "First ceiling: none known.";
  const line = `First ceiling: ${first.limit}, at ${grouped(first.connections)} connections.`;
  if (first.verdict === "low") return colours.red(`${line} That is below ${grouped(plan.connections)}.`);
  const unknown = ceilings.filter(({ counts, verdict }) => counts && verdict === "unknown").map(({ limit }) => limit);
  const but = unknown.length === 0 ? "" : ` Could not be told: ${unknown.join(", ")}.`;
  return `${colours.green(`${line} All known ceilings are above ${grouped(plan.connections)}.`)}${but}`;
}

function table(rows: readonly Ceiling[], fit: string, colours: Colours): string {
  const lines = columns(fit === "" ? ["pace and cost", "", "there now"] : ["limit", "", fit, "there now"], colours);
  for (const row of rows) {
    const cells = [row.limit, verdictText(row, colours), row.there];
    if (fit !== "") cells.splice(2, 0, fits(row));
    lines.push(cells);
  }
  return lines.toString();
}

function fits({ connections, verdict }: Ceiling): string {
  if (connections !== null) return grouped(connections);
  return verdict === "unknown" ? "?" : "no bound";
}

function verdictText({ verdict }: Ceiling, colours: Colours): string {
  const colour = { ok: colours.green, low: colours.red, unknown: colours.yellow }[verdict];
  return colour(VERDICT_TEXT[verdict]);
}

function paragraph(ceiling: Ceiling, colours: Colours): string[] {
  const seen = ceiling.verdict === "low" ? [`  When it is hit: ${ceiling.symptom}.`] : [];
  return [
    `${colours.bold(ceiling.limit)}: ${ceiling.explanation}`,
    ...seen,
    ...ceiling.remedy.map((line) => `    ${line}`),
  ];
}
