/** The proof as a person reads it: progress, one paragraph an act, and a table at the end. Pure but for `Screen`. */
import Table from "cli-table3";
import type { HolderCounts } from "./messages.js";
import { CONNECT_TIMEOUT_MS, type Size } from "./sizes.js";
import { grouped, type Played } from "./verdict.js";

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

const timeoutSeconds = CONNECT_TIMEOUT_MS / 1000;

export const describeStart = ({ table, connections }: Size, full: boolean): string =>
  [
    full
      ? `The 26w wall at its real place: a connection-tracking table of ${grouped(table)} entries, ${grouped(connections)} connections asked for.`
      : `The 26w wall at a quick size: a connection-tracking table of ${grouped(table)} entries instead of 262,144, ${grouped(connections)} connections asked for.`,
    "Each act runs in a network namespace of its own, both ends on its loopback; the rule only reads the state of a connection.",
    "",
  ].join("\n");

export function describeProgress({ open, timedOut }: HolderCounts, connections: number): string {
  const waited = timedOut > 0 ? `, ${grouped(timedOut)} connects timed out` : "";
  return `   ${grouped(open)} of ${grouped(connections)} open${waited}`;
}

export function describeAct({ finding, tracked, maximum, kernelLine }: Played, connections: number): string {
  const { open, timedOut, established, dropped, seconds } = finding;
  const wall = `${grouped(open)} open, then connects time out: ${grouped(timedOut)} got no answer in ${timeoutSeconds} s, no error, no reset`;
  const all = `${grouped(open)} of ${grouped(connections)} open`;
  const table = tracked
    ? `${grouped(finding.tracked)} of ${grouped(maximum)} entries in the table`
    : `${grouped(finding.tracked)} entries in the table`;
  const lines = [
    `${timedOut > 0 ? wall : all} (${seconds.toFixed(1)} s)`,
    `${table}; the kernel counts ${grouped(established)} ends ESTABLISHED`,
  ];
  if (dropped !== null && dropped > 0) lines.push(`the kernel dropped ${grouped(dropped)} packets, retries included`);
  if (kernelLine !== null) lines.push(`kernel log: ${kernelLine}`);
  return lines.map((line) => `   ${line}\n`).join("");
}

export function describeTable(acts: readonly Played[], connections: number): string {
  const table = new Table({
    head: ["", "asked", "open", "timed out", "entries", "nf_conntrack_max"],
    chars: BARE,
    colAligns: ["left", "right", "right", "right", "right", "right"],
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const [i, { title, maximum, finding }] of acts.entries()) {
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

/** One live line that is rewritten on a terminal; a plain line every two seconds elsewhere. */
export class Screen {
  private lastMs = 0;
  private readonly live: boolean;

  constructor(private readonly out: Output) {
    this.live = out.isTTY === true;
  }

  show(line: string): void {
    const nowMs = performance.now();
    if (nowMs - this.lastMs < (this.live ? LIVE_EVERY_MS : PLAIN_EVERY_MS)) return;
    this.lastMs = nowMs;
    this.out.write(this.live ? `\r\x1b[K${line}` : `${line}\n`);
  }

  /** Replaces the live line. */
  print(text: string): void {
    this.out.write(this.live ? `\r\x1b[K${text}` : text);
    this.lastMs = performance.now();
  }
}
