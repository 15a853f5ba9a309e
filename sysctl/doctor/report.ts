/**
 * The doctor's report as text: the first ceiling in one sentence, a table sorted by the count at which each limit bites, and for
 * each limit that is low the reason, the symptom and the remedy. Pure; the caller decides whether to use colour.
 */
import pc from "picocolors";
import type { MachineFacts, Runtime } from "../kernel/facts.js";
import { columns, paragraphs } from "../tune/report.js";
import type { DoctorCeiling, DoctorPlan, LimitId, Verdict } from "./ceiling.js";
import { firstCeiling } from "./ceilings.js";
import { gigabytes, groupedOrNoLimit } from "./explanations.js";
import { DIALECT_OF } from "./runtime.js";

type Colours = ReturnType<typeof pc.createColors>;

const RUNTIME_TEXT: Readonly<Record<Runtime, string>> = {
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
const VERDICT_TEXT: Readonly<Record<Verdict, string>> = { ok: "ok", low: "LOW", unknown: "UNKNOWN" };
/** Some settings that limit the rate are too high, not too low. */
const RATE_TEXT: Readonly<Record<Verdict, string>> = { ...VERDICT_TEXT, low: "NOT AS WANTED" };
/** `tune` lowers these, and therefore sets them only with --allow-lowering. */
const LOWERED: readonly LimitId[] = ["unsent-bytes", "send-buffer"];

interface DoctorReportOptions {
  readonly facts: MachineFacts;
  readonly plan: DoctorPlan;
  readonly colour: boolean;
}

export function reportDoctor(ceilings: readonly DoctorCeiling[], options: DoctorReportOptions): string {
  const { facts, plan } = options;
  const colours = pc.createColors(options.colour);
  const countLimits = ceilings.filter(({ counts }) => counts);
  const rateLimits = ceilings.filter(({ counts }) => !counts);
  const title = `Ceilings for ${groupedOrNoLimit(plan.connections)} connections, ${ENDS[plan.side]} on this machine`;
  return paragraphs([
    [colours.bold(title), machine(facts)],
    [firstLine(ceilings, plan, colours)],
    [countTable(countLimits, colours)],
    ...countLimits.filter(isNotOk).map((row) => [...reasons(row, colours), ...indented(row.remedy)]),
    [rateTable(rateLimits, colours)],
    rateReasons(rateLimits.filter(isNotOk), colours),
    rateRemedies(rateLimits, facts, plan),
  ]);
}

const isNotOk = ({ verdict }: DoctorCeiling): boolean => verdict !== "ok";
const indented = (lines: readonly string[]): string[] => lines.map((line) => `    ${line}`);

function machine(facts: MachineFacts): string {
  const memory = facts.memory ? `, ${gigabytes(facts.memory.totalBytes)} of memory` : "";
  const unit = facts.unit === null ? "" : ` ${facts.unit}`;
  return `${processors(facts)}${memory}, Linux ${facts.kernel}, ${RUNTIME_TEXT[facts.runtime]}${unit}`;
}

/** A quota allows less than the processors that the process sees. */
function processors({ cores, processors: { allowed, quota } }: MachineFacts): string {
  const counted = `${groupedOrNoLimit(cores)} core${cores === 1 ? "" : "s"}`;
  return quota === null
    ? counted
    : `${counted} (a CPU quota of ${Number(quota.toFixed(2))} on ${groupedOrNoLimit(allowed)} processors)`;
}

function firstLine(ceilings: readonly DoctorCeiling[], plan: DoctorPlan, colours: Colours): string {
  const first = firstCeiling(ceilings);
  if (first?.connections == null) return "First ceiling: none known.";
  const line = `First ceiling: ${first.limit}, at ${groupedOrNoLimit(first.connections)} connections.`;
  if (first.verdict === "low") return colours.red(`${line} That is below ${groupedOrNoLimit(plan.connections)}.`);
  const unknown = ceilings.filter(({ counts, verdict }) => counts && verdict === "unknown").map(({ limit }) => limit);
  const but = unknown.length === 0 ? "" : ` Unknown: ${unknown.join(", ")}.`;
  return `${colours.green(`${line} All known ceilings are above ${groupedOrNoLimit(plan.connections)}.`)}${but}`;
}

function countTable(rows: readonly DoctorCeiling[], colours: Colours): string {
  const lines = columns(["limit", "", "connections", "now"], colours);
  for (const row of rows) lines.push([row.limit, verdictText(row, colours), fits(row), row.current]);
  return lines.toString();
}

function rateTable(rows: readonly DoctorCeiling[], colours: Colours): string {
  const lines = columns(["rate and cost", "", "now"], colours);
  for (const row of rows) lines.push([row.limit, verdictText(row, colours), row.current]);
  return lines.toString();
}

function fits({ connections, verdict }: DoctorCeiling): string {
  if (connections !== null) return groupedOrNoLimit(connections);
  return verdict === "unknown" ? "?" : "no bound";
}

function verdictText({ verdict, counts }: DoctorCeiling, colours: Colours): string {
  const low = counts ? colours.red : colours.yellow;
  const colour = { ok: colours.green, low, unknown: colours.yellow }[verdict];
  return colour((counts ? VERDICT_TEXT : RATE_TEXT)[verdict]);
}

function reasons(ceiling: DoctorCeiling, colours: Colours): string[] {
  const seen = ceiling.verdict === "low" ? [`  When it is hit: ${ceiling.symptom}.`] : [];
  return [`${colours.bold(ceiling.limit)}: ${ceiling.explanation}`, ...seen];
}

/** One line for each explanation: limits that share it are named together. */
function rateReasons(rows: readonly DoctorCeiling[], colours: Colours): string[] {
  const byReason = new Map<string, string[]>();
  for (const { explanation, limit } of rows) byReason.set(explanation, [...(byReason.get(explanation) ?? []), limit]);
  return [...byReason].map(([explanation, limits]) => `${colours.bold(limits.join(", "))}: ${explanation}`);
}

/** Settings of the same file or flag list together, under one heading; `tune` sets or prints all of them. */
function rateRemedies(rateLimits: readonly DoctorCeiling[], facts: MachineFacts, plan: DoctorPlan): string[] {
  const blocks = new Map<string, string[]>();
  for (const { remedy } of rateLimits) {
    const [head, ...lines] = remedy;
    if (head === undefined) continue;
    // Lines of a manifest are nested, so the block must stay whole.
    const key = lines.length === 1 ? head : remedy.join("\n");
    blocks.set(key, [...(blocks.get(key) ?? [head]), ...lines]);
  }
  if (blocks.size === 0) return [];
  const dialect = DIALECT_OF[facts.runtime];
  const ends = plan.side === "server" ? " --co-located false" : "";
  const verb =
    { sysctl: "sets them", lxc: "sets those that the container may set" }[dialect as string] ?? "prints them";
  const format = verb.startsWith("sets") ? "" : ` --format ${dialect}`;
  const lowering = rateLimits.some((row) => row.verdict === "low" && LOWERED.includes(row.limit))
    ? " --allow-lowering"
    : "";
  const tune = `megagate tune --connections ${plan.connections} --ports ${plan.listenPorts.join(",")}${ends}${lowering}${format}`;
  return [`All of these at once: \`${tune}\` ${verb}. One by one:`, ...[...blocks.values()].flatMap(indented)];
}
