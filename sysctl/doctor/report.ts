/**
 * What the doctor found, as text: the first ceiling in one sentence, a table sorted by where each limit bites, and for each
 * that is low the reason, what is seen when it is hit, and the remedy. Pure; the caller says whether colour is welcome.
 */
import pc from "picocolors";
import type { DoctorPlan, Facts, Surrounding } from "../kernel/facts.js";
import { columns, paragraphs } from "../tune/report.js";
import type { Ceiling, LimitId, Verdict } from "./ceiling.js";
import { firstCeiling } from "./ceilings.js";
import { gigabytes, grouped } from "./explanations.js";
import { DIALECT_OF } from "./runtime.js";

type Colours = ReturnType<typeof pc.createColors>;

const SURROUNDINGS: Readonly<Record<Surrounding, string>> = {
  host: "not in a container or service",
  systemd: "systemd service",
  lxc: "LXC container",
  docker: "container",
  kubernetes: "Kubernetes pod",
};
const ENDS: Readonly<Record<DoctorPlan["side"], string>> = {
  server: "the gateway's ends",
  client: "the clients' ends",
  both: "both ends",
};
const VERDICT_TEXT: Readonly<Record<Verdict, string>> = { ok: "ok", low: "LOW", unknown: "COULD NOT TELL" };
/** Some settings of the pace are too high, not too low. */
const PACE_TEXT: Readonly<Record<Verdict, string>> = { ...VERDICT_TEXT, low: "NOT AS WANTED" };
/** `tune` sets these only when told, since their values go down. */
const LOWERED: readonly LimitId[] = ["unsent-bytes", "send-buffer"];

export function reportDoctor(ceilings: readonly Ceiling[], facts: Facts, plan: DoctorPlan, colour: boolean): string {
  const colours = pc.createColors(colour);
  const counting = ceilings.filter(({ counts }) => counts);
  const pace = ceilings.filter(({ counts }) => !counts);
  const title = `Ceilings for ${grouped(plan.connections)} connections, ${ENDS[plan.side]} on this machine`;
  return paragraphs([
    [colours.bold(title), machine(facts)],
    [firstLine(ceilings, plan, colours)],
    [countTable(counting, colours)],
    ...counting.filter(isOpen).map((row) => [...reasons(row, colours), ...indented(row.remedy)]),
    [paceTable(pace, colours)],
    paceReasons(pace.filter(isOpen), colours),
    paceRemedies(pace, facts, plan),
  ]);
}

const isOpen = ({ verdict }: Ceiling): boolean => verdict !== "ok";
const indented = (lines: readonly string[]): string[] => lines.map((line) => `    ${line}`);

function machine(facts: Facts): string {
  const memory = facts.memory ? `, ${gigabytes(facts.memory.totalBytes)} of memory` : "";
  const unit = facts.unit === null ? "" : ` ${facts.unit}`;
  return `${processors(facts)}${memory}, Linux ${facts.kernel}, ${SURROUNDINGS[facts.surrounding]}${unit}`;
}

/** Under a quota there is less than the processors that are seen. */
function processors({ cores, processors: { allowed, quota } }: Facts): string {
  const counted = `${grouped(cores)} core${cores === 1 ? "" : "s"}`;
  return quota === null
    ? counted
    : `${counted} (a CPU quota of ${Number(quota.toFixed(2))} on ${grouped(allowed)} processors)`;
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

function countTable(rows: readonly Ceiling[], colours: Colours): string {
  const lines = columns(["limit", "", "connections", "there now"], colours);
  for (const row of rows) lines.push([row.limit, verdictText(row, colours), fits(row), row.there]);
  return lines.toString();
}

function paceTable(rows: readonly Ceiling[], colours: Colours): string {
  const lines = columns(["pace and cost", "", "there now"], colours);
  for (const row of rows) lines.push([row.limit, verdictText(row, colours), row.there]);
  return lines.toString();
}

function fits({ connections, verdict }: Ceiling): string {
  if (connections !== null) return grouped(connections);
  return verdict === "unknown" ? "?" : "no bound";
}

function verdictText({ verdict, counts }: Ceiling, colours: Colours): string {
  const low = counts ? colours.red : colours.yellow;
  const colour = { ok: colours.green, low, unknown: colours.yellow }[verdict];
  return colour((counts ? VERDICT_TEXT : PACE_TEXT)[verdict]);
}

function reasons(ceiling: Ceiling, colours: Colours): string[] {
  const seen = ceiling.verdict === "low" ? [`  When it is hit: ${ceiling.symptom}.`] : [];
  return [`${colours.bold(ceiling.limit)}: ${ceiling.explanation}`, ...seen];
}

/** A line each, and one for all that could not be told for the same reason. */
function paceReasons(rows: readonly Ceiling[], colours: Colours): string[] {
  const byReason = new Map<string, string[]>();
  for (const { explanation, limit } of rows) byReason.set(explanation, [...(byReason.get(explanation) ?? []), limit]);
  return [...byReason].map(([explanation, limits]) => `${colours.bold(limits.join(", "))}: ${explanation}`);
}

/** Settings of the same file or flag list together, under one head; `tune` does or prints all of them. */
function paceRemedies(pace: readonly Ceiling[], facts: Facts, plan: DoctorPlan): string[] {
  const blocks = new Map<string, string[]>();
  for (const { remedy } of pace) {
    const [head, ...lines] = remedy;
    if (head === undefined) continue;
    // A nested one, as in a manifest, must stay whole.
    const key = lines.length === 1 ? head : remedy.join("\n");
    blocks.set(key, [...(blocks.get(key) ?? [head]), ...lines]);
  }
  if (blocks.size === 0) return [];
  const dialect = DIALECT_OF[facts.surrounding];
  const ends = plan.side === "server" ? " --co-located false" : "";
  const verb =
    { sysctl: "sets them", lxc: "sets those that the container may set" }[dialect as string] ?? "prints them";
  const format = verb.startsWith("sets") ? "" : ` --format ${dialect}`;
  const lowering = pace.some((row) => row.verdict === "low" && LOWERED.includes(row.limit)) ? " --allow-lowering" : "";
  const tune = `megagate tune --connections ${plan.connections} --ports ${plan.listenPorts.join(",")}${ends}${lowering}${format}`;
  return [`All of these at once: \`${tune}\` ${verb}. One by one:`, ...[...blocks.values()].flatMap(indented)];
}
