/**
 * The reports of tune and untune as text: a table of values before and after, the reasons, and what the plan means for
 * descriptors and memory. Pure: rows in, text out; the caller decides whether to use colour.
 */
import Table from "cli-table3";
import pc from "picocolors";
import { fullestWorker, workerCap } from "../../src/config/capacity.js";
import { type KernelPlan, memoryNeededBytes, plannedWorkers, tasksNeeded } from "../plan.js";
import { describePlan } from "../remedies/render.js";
import type { FileRow } from "./persist.js";
import type { Outcome, Tuned } from "./tune.js";
import type { Restored, Untuned } from "./untune.js";

export interface ReportStyle {
  readonly colour: boolean;
  readonly statePath: string;
}
type Colours = ReturnType<typeof pc.createColors>;

const grouped = (n: number): string => n.toLocaleString("en-US");
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
/** The kernel separates the numbers of one value by tabs. */
const shown = (value: string | undefined): string =>
  value === undefined ? "-" : value === "" ? "(empty)" : value.replace(/\s+/g, " ");

/** To set values, to show which would be set, or to check whether all are set. */
export type TuneMode = "apply" | "diff" | "verify";

const HEADS: Readonly<Record<TuneMode, readonly [title: string, after: string]>> = {
  apply: ["Kernel settings for", "after"],
  diff: ["What tune would set (nothing was changed) for", "would be"],
  verify: ["Whether the kernel is set for", "wanted"],
};

const STATUS_TEXT: Readonly<Record<Tuned["status"], string>> = {
  enough: "already enough",
  raised: "set",
  lowered: "set, lower than before",
  kept: "kept, higher than wanted",
  notNeeded: "not needed",
  missing: "not known to this kernel",
  refused: "COULD NOT BE SET",
  clamped: "NOT FULLY SET",
  wanting: "NOT AS WANTED",
};
const DIFF_TEXT: Readonly<Partial<Record<Tuned["status"], string>>> = {
  raised: "would be set",
  lowered: "would be lowered",
  refused: "CANNOT BE READ",
};

const FILE_TEXT: Readonly<Record<FileRow["status"], string>> = {
  written: "written",
  enough: "already so",
  restored: "as it was before",
  removed: "removed",
  unchanged: "was so already",
  refused: "NOT AS WANTED",
};

interface TuneReportOptions {
  readonly mode: TuneMode;
  readonly plan: KernelPlan;
  readonly warnings: readonly string[];
  readonly style: ReportStyle;
}

export function reportTune({ rows, files }: Outcome, { mode, plan, warnings, style }: TuneReportOptions): string {
  const colours = pc.createColors(style.colour);
  const [title, afterTitle] = HEADS[mode];
  const table = columns(["setting", mode === "apply" ? "before" : "now", afterTitle, ""], colours);
  for (const row of rows) {
    const after = row.after === row.before ? (row.after === undefined ? "-" : "=") : shown(row.after);
    table.push([row.setting.key, shown(row.before), after, statusText(mode, row, colours)]);
  }
  return paragraphs([
    [colours.bold(`${title} ${describePlan(plan)}`)],
    [table.toString()],
    fileLines(files, colours),
    notes(rows, colours),
    warnings.map((warning) => colours.yellow(`${warning}.`)),
    [tally(mode, rows), ...(mode === "apply" ? keptLines(rows, files, style) : [])],
    [descriptorLine(plan), memoryLine(plan, colours), ...groupLines(plan, colours)],
  ]);
}

function fileLines(files: readonly FileRow[], colours: Colours): string[] {
  return files.map(({ path, status, reason }) => {
    const line = `${path}: ${FILE_TEXT[status]}${reason === undefined ? "" : `: ${reason}`}.`;
    return status === "refused" ? colours.red(line) : line;
  });
}

function statusText(mode: TuneMode, row: Tuned, colours: Colours): string {
  const usual = (mode === "diff" ? DIFF_TEXT[row.status] : undefined) ?? STATUS_TEXT[row.status];
  const text = row.failed && row.status === "missing" ? "NOT VISIBLE HERE" : usual;
  if (row.failed) return colours.red(text);
  if (row.status === "lowered" || row.status === "kept") return colours.yellow(text);
  return row.status === "raised" ? colours.green(text) : colours.dim(text);
}

/** One line for each reason: settings that share a reason are named together. */
function notes(rows: readonly Tuned[], colours: Colours): string[] {
  const byReason = new Map<string, { keys: string[]; failed: boolean }>();
  for (const { status, setting, reason, failed } of rows) {
    for (const text of [status === "lowered" ? setting.lowers : undefined, reason]) {
      if (text === undefined) continue;
      const note = byReason.get(text) ?? { keys: [], failed };
      note.keys.push(setting.key);
      byReason.set(text, note);
    }
  }
  return [...byReason].map(([text, { keys, failed }]) => {
    const line = `${keys.join(", ")}: ${text}.`;
    return failed ? colours.red(line) : line;
  });
}

function tally(mode: TuneMode, rows: readonly Tuned[]): string {
  const count = (...statuses: Tuned["status"][]): number =>
    rows.filter((row) => !row.failed && statuses.includes(row.status)).length;
  const parts = [
    ...(mode === "verify" ? [] : [`${count("raised", "lowered")} ${mode === "diff" ? "would be set" : "set"}`]),
    `${count("enough")} already enough`,
    ...(count("kept") > 0 ? [`${count("kept")} kept higher than wanted`] : []),
    `${count("notNeeded", "missing")} not needed`,
    `${rows.filter((row) => row.failed).length} not as wanted`,
  ];
  return `${parts.join(", ")}.`;
}

function keptLines(rows: readonly Tuned[], files: readonly FileRow[], style: ReportStyle): string[] {
  const changed = rows.some((row) => row.status === "raised" || row.status === "lowered");
  if (!changed && !files.some((file) => file.status === "written")) return [];
  return [
    `Everything as it was is in ${style.statePath}: \`megagate untune\` puts it back.`,
    files.length > 0
      ? "The files count from the next boot, login and start of megagate.service on (after `systemctl daemon-reload`)."
      : "The kernel forgets all of this at the next boot; `megagate tune --persist` writes files that last.",
  ];
}

function descriptorLine(plan: KernelPlan): string {
  const workers = plannedWorkers(plan);
  const limit = `Descriptors: ${grouped(plan.nofile)} for each process (hard limit)`;
  const need = `${grouped(plan.connections)} connections need ${grouped(workers)} workers`;
  const fullest = `the fullest is expected to hold ${grouped(fullestWorker(plan.connections, workers))} of at most ${grouped(workerCap(plan.nofile))}`;
  const reason = workers > plan.cores ? "" : ", one for each core";
  return `${limit}: ${need}${reason}; ${fullest}. \`megagate serve\` starts them by itself.`;
}

function memoryLine(plan: KernelPlan, colours: Colours): string {
  const needed = memoryNeededBytes(plan);
  const line = `Memory: about ${gigabytes(needed)} of ${gigabytes(plan.memoryBytes)} for the connections and workers, by the measured model.`;
  if (needed <= plan.memoryBytes) return line;
  return colours.red(`${line} This host has too little for the plan: ask for fewer with --connections, or add memory.`);
}

/** Kernel settings do not help where control groups leave too little; the doctor has the remedies. */
function groupLines(plan: KernelPlan, colours: Colours): string[] {
  const { groupMemory: memory, groupTasks: tasks } = plan;
  const remedy = "too little for the plan, whatever the kernel is set to: `megagate doctor` has the remedy";
  const lines: string[] = [];
  if (memory) {
    const left = memory.limit - memory.used;
    const line = `Control group ${memory.at}: ${gigabytes(left)} of ${gigabytes(memory.limit)} are left to this process`;
    lines.push(memoryNeededBytes(plan) > left ? colours.red(`${line}, ${remedy}.`) : `${line}.`);
  }
  if (tasks) {
    const left = tasks.limit - tasks.used;
    const line = `Control group ${tasks.at}: ${grouped(left)} of ${grouped(tasks.limit)} processes and threads are left, ${grouped(tasksNeeded(plan))} are needed`;
    lines.push(tasksNeeded(plan) > left ? colours.red(`${line}: ${remedy}.`) : `${line}.`);
  }
  return lines;
}

export function reportUntune(result: Untuned, style: ReportStyle): string {
  if (result.type === "nothing") return `Nothing to restore: there is no rollback file at ${style.statePath}.\n`;
  if (result.type === "booted") {
    return "Nothing to restore: the machine was booted since `megagate tune`, and the kernel forgot the tuned values by itself.\n";
  }
  const colours = pc.createColors(style.colour);
  const table = columns(["setting", "before", "after", ""], colours);
  for (const row of result.rows) table.push([row.key, shown(row.before), shown(row.after), restoredText(row, colours)]);
  const left = result.rows.filter((row) => row.status === "refused");
  const leftCount = left.length + result.files.filter((row) => row.status === "refused").length;
  return paragraphs([
    [colours.bold("Kernel settings, back to what they were before `megagate tune`")],
    result.rows.length > 0 ? [table.toString()] : [],
    fileLines(result.files, colours),
    left.map((row) => colours.red(`${row.key}: ${row.reason ?? ""}.`)),
    [
      leftCount === 0
        ? `All restored; ${style.statePath} is deleted.`
        : `${leftCount} could not be restored and stay in ${style.statePath}: run \`megagate untune\` again.`,
    ],
  ]);
}

function restoredText(row: Restored, colours: Colours): string {
  if (row.status === "refused") return colours.red("COULD NOT BE RESTORED");
  return row.status === "restored" ? colours.green("restored") : colours.dim("was so already");
}

export function columns(head: string[], colours: Colours): Table.Table {
  const edges = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"];
  const inner = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
  const chars = Object.fromEntries([...edges, ...inner].map((name) => [name, ""]));
  return new Table({
    head: head.map((title) => colours.bold(title)),
    chars: { ...chars, middle: "  " },
    // Its own colours ignore NO_COLOR and pipes.
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
}

export const paragraphs = (blocks: string[][]): string =>
  `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")
    .replace(/ +$/gm, "")}\n`;
