/**
 * Live progress on stderr: one line that is rewritten on a terminal, a plain line every two seconds elsewhere.
 * `renderProgress` is pure. Runs in the coordinator.
 */
import { describeTally } from "../evidence/evidence.js";
import { grouped, size } from "../evidence/format.js";
import type { Tally } from "../generator/messages.js";

export interface ProgressState {
  readonly phase: string;
  readonly open: number;
  readonly target: number;
  readonly perSecond: number;
  /** What this phase counts in addition: "1,200 heartbeats answered". */
  readonly detail: string;
  readonly failed: Tally;
  readonly freeBytes: number;
}

export function renderProgress(moment: ProgressState): string {
  const { phase, open, target, perSecond, failed } = moment;
  const parts = [`${phase}: ${grouped(open)} of ${grouped(target)} open`];
  if (phase === "ramp") {
    parts.push(`${grouped(perSecond)}/s`);
    if (perSecond > 0 && open < target) parts.push(`${grouped((target - open) / perSecond)} s left`);
  }
  if (moment.detail !== "") parts.push(moment.detail);
  const reasons = describeTally(failed);
  if (reasons !== "") parts.push(`failed ${reasons}`);
  parts.push(`${size(moment.freeBytes)} free`);
  return parts.join(", ");
}

const PLAIN_EVERY_MS = 2000;
const LIVE_EVERY_MS = 250;
/** Some terminals do not report their width. */
const DEFAULT_COLUMNS = 80;

/** A stream as far as progress needs it: process.stderr, or a test's own. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Progress {
  readonly #out: ProgressOutput;
  #lastMs = Number.NEGATIVE_INFINITY;
  #lastPhase = "";
  readonly #live: boolean;

  constructor(out: ProgressOutput) {
    this.#out = out;
    this.#live = out.isTTY === true;
  }

  show(moment: ProgressState): void {
    const nowMs = performance.now();
    const due = nowMs - this.#lastMs >= (this.#live ? LIVE_EVERY_MS : PLAIN_EVERY_MS);
    if (!due && moment.phase === this.#lastPhase) return;
    this.#lastMs = nowMs;
    this.#lastPhase = moment.phase;
    const line = renderProgress(moment);
    // Cut to the terminal's width: a wrapped line could not be rewritten.
    if (this.#live) this.#out.write(`\r\x1b[K${line.slice(0, (this.#out.columns || DEFAULT_COLUMNS) - 1)}`);
    else this.#out.write(`${line}\n`);
  }

  /** Clears the live line, so that the report begins on a line of its own. */
  end(): void {
    if (this.#live && this.#lastPhase !== "") this.#out.write("\r\x1b[K");
  }
}
