/**
 * The proof as text: progress, one paragraph for each step, and a table at the end. Pure except for `Screen`, which writes to the
 * terminal. Runs in the command line.
 */
import Table from "cli-table3";
import type { HolderCounts } from "./messages.js";
import { CONNECT_TIMEOUT_MS, type ProofSize } from "./sizes.js";
import { grouped, type StepResult } from "./verdict.js";

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

const timeoutSeconds = CONNECT_TIMEOUT_MS / 1000;

export const describeStart = ({ table, connections }: ProofSize, full: boolean): string =>
  [
    full
      ? `The 26w limit at its real size: a connection-tracking table of ${grouped(table)} entries, ${grouped(connections)} connections asked for.`
      : `The 26w limit at a quick size: a connection-tracking table of ${grouped(table)} entries instead of 262,144, ${grouped(connections)} connections asked for.`,
    "Each step runs in a network namespace of its own, both ends on its loopback; the rule only reads the state of a connection.",
    "",
  ].join("\n");

export function describeProgress({ open, timedOut }: HolderCounts, connections: number): string {
  const waited = timedOut > 0 ? `, ${grouped(timedOut)} connects timed out` : "";
  return `   ${grouped(open)} of ${grouped(connections)} open${waited}`;
}

export function describeStep({ finding, tracked, maximum, kernelLine }: StepResult, connections: number): string {
  const { open, timedOut, established, dropped, seconds } = finding;
  const limited = `${grouped(open)} open, then connects time out: ${grouped(timedOut)} got no answer in ${timeoutSeconds} s, no error, no reset`;
  const all = `${grouped(open)} of ${grouped(connections)} open`;
  const table = tracked
    ? `${grouped(finding.tracked)} of ${grouped(maximum)} entries in the table`
    : `${grouped(finding.tracked)} entries in the table`;
  const lines = [
    `${timedOut > 0 ? limited : all} (${seconds.toFixed(1)} s)`,
    `${table}; the kernel counts ${grouped(established)} ends ESTABLISHED`,
  ];
  if (dropped !== null && dropped > 0) lines.push(`the kernel dropped ${grouped(dropped)} packets, retries included`);
  if (kernelLine !== null) lines.push(`kernel log: ${kernelLine}`);
  return lines.map((line) => `   ${line}\n`).join("");
}

export function describeTable(steps: readonly StepResult[], connections: number): string {
  const table = new Table({
    head: ["", "asked", "open", "timed out", "entries", "nf_conntrack_max"],
    chars: BARE,
    colAligns: ["left", "right", "right", "right", "right", "right"],
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const [i, { title, maximum, finding }] of steps.entries()) {
    const counts = [connections, finding.open, finding.timedOut, finding.tracked, maximum];
    table.push([`${i + 1}. ${title}`, ...counts.map(grouped)]);
  }
  return `${table.toString().replace(/ +$/gm, "")}\n`;
}

const edges = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"];
const inner = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
const BARE = { ...Object.fromEntries([...edges, ...inner].map((name) => [name, ""])), middle: "  " };

const PLAIN_EVERY_MS = 2000;
const LIVE_EVERY_MS = 100;

/** On a terminal one line that is rewritten; elsewhere a plain line every two seconds. */
export class Screen {
  readonly #out: Output;
  readonly #live: boolean;
  #lastMs = 0;

  constructor(out: Output) {
    this.#out = out;
    this.#live = out.isTTY === true;
  }

  show(line: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastMs < (this.#live ? LIVE_EVERY_MS : PLAIN_EVERY_MS)) return;
    this.#lastMs = nowMs;
    this.#out.write(this.#live ? `\r\x1b[K${line}` : `${line}\n`);
  }

  /** Replaces the live line. */
  print(text: string): void {
    this.#out.write(this.#live ? `\r\x1b[K${text}` : text);
    this.#lastMs = performance.now();
  }
}
