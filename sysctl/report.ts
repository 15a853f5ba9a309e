/**
 * What tune and untune did, as text: a table of before and after, the reasons, and what the plan means for descriptors
 * and memory. Pure: rows in, text out; the caller says whether colour is welcome.
 */
import Table from "cli-table3";
import pc from "picocolors";
import { fullestWorker, workerCap } from "../src/config/capacity.js";
import { memoryNeededBytes, type Plan, workersOf } from "./plan.js";
import { describePlan } from "./render.js";
import type { Restored, Tuned, Untuned } from "./tune.js";

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

const STATUS_TEXT: Readonly<Record<Tuned["status"], string>> = {
  enough: "already enough",
  raised: "set",
  lowered: "set, lower than before",
  notNeeded: "not needed",
  missing: "not known to this kernel",
  refused: "COULD NOT BE SET",
  clamped: "NOT FULLY SET",
};

export function reportTune(rows: readonly Tuned[], plan: Plan, style: ReportStyle): string {
  const colours = pc.createColors(style.colour);
  const table = columns(["setting", "before", "after", ""], colours);
  for (const row of rows) {
    const after = row.after === row.before ? (row.after === undefined ? "-" : "=") : shown(row.after);
    table.push([row.setting.key, shown(row.before), after, statusText(row, colours)]);
  }
  return paragraphs([
    [colours.bold(`Kernel settings for ${describePlan(plan)}`)],
    [table.toString()],
    notes(rows, colours),
    [tally(rows), ...keptLines(rows, style)],
    [descriptorLine(plan), memoryLine(plan, colours)],
  ]);
}

function statusText(row: Tuned, colours: Colours): string {
  const text = row.failed && row.status === "missing" ? "NOT VISIBLE HERE" : STATUS_TEXT[row.status];
  if (row.failed) return colours.red(text);
  if (row.status === "lowered") return colours.yellow(text);
  return row.status === "raised" ? colours.green(text) : colours.dim(text);
}

/** One line for each reason: settings that share it are named together. */
function notes(rows: readonly Tuned[], colours: Colours): string[] {
  const byReason = new Map<string, { keys: string[]; failed: boolean }>();
  for (const row of rows) {
    const text = row.status === "lowered" ? row.setting.lowers : row.reason;
    if (text === undefined) continue;
    const note = byReason.get(text) ?? { keys: [], failed: row.failed };
    note.keys.push(row.setting.key);
    byReason.set(text, note);
  }
  return [...byReason].map(([text, { keys, failed }]) => {
    const line = `${keys.join(", ")}: ${text}.`;
    return failed ? colours.red(line) : line;
  });
}

function tally(rows: readonly Tuned[]): string {
  const count = (...statuses: Tuned["status"][]): number =>
    rows.filter((row) => !row.failed && statuses.includes(row.status)).length;
  const parts = [
    `${count("raised", "lowered")} set`,
    `${count("enough")} already enough`,
    `${count("notNeeded", "missing")} not needed`,
    `${rows.filter((row) => row.failed).length} not as wanted`,
  ];
  return `${parts.join(", ")}.`;
}

function keptLines(rows: readonly Tuned[], style: ReportStyle): string[] {
  if (!rows.some((row) => row.status === "raised" || row.status === "lowered")) return [];
  return [
    `The values as they were are in ${style.statePath}: \`megagate untune\` puts them back.`,
    "The kernel forgets all of this at the next boot; `megagate tune --print` prints a sysctl.d file that lasts.",
  ];
}

function descriptorLine(plan: Plan): string {
  const workers = workersOf(plan);
  const limit = `Descriptors: ${grouped(plan.nofile)} for each process (hard limit)`;
  const need = `${grouped(plan.connections)} connections need ${grouped(workers)} workers`;
  const fullest = `the fullest is expected to hold ${grouped(fullestWorker(plan.connections, workers))} of at most ${grouped(workerCap(plan.nofile))}`;
  const reason = workers > plan.cores ? "" : ", one for each core";
  return `${limit}: ${need}${reason}; ${fullest}. \`megagate serve\` starts them by itself.`;
}

function memoryLine(plan: Plan, colours: Colours): string {
  const needed = memoryNeededBytes(plan);
  const line = `Memory: about ${gigabytes(needed)} of ${gigabytes(plan.memoryBytes)} for the connections and workers, by the measured model.`;
  if (needed <= plan.memoryBytes) return line;
  return colours.red(`${line} This host has too little for the plan: ask for fewer with --connections, or add memory.`);
}

export function reportUntune(result: Untuned, style: ReportStyle): string {
  if (result.kind === "nothing") return `Nothing to restore: there is no rollback file at ${style.statePath}.\n`;
  if (result.kind === "booted") {
    return "Nothing to restore: the machine was booted since `megagate tune`, and the kernel forgot the tuned values by itself.\n";
  }
  const colours = pc.createColors(style.colour);
  const table = columns(["setting", "before", "after", ""], colours);
  for (const row of result.rows) table.push([row.key, shown(row.before), shown(row.after), restoredText(row, colours)]);
  const left = result.rows.filter((row) => row.status === "refused");
  return paragraphs([
    [colours.bold("Kernel settings, back to what they were before `megagate tune`")],
    [table.toString()],
    left.map((row) => colours.red(`${row.key}: ${row.reason ?? ""}.`)),
    [
      left.length === 0
        ? `All restored; ${style.statePath} is deleted.`
        : `${left.length} could not be restored and stay in ${style.statePath}: run \`megagate untune\` again.`,
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
