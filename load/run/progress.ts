/**
 * Live progress: one line that is rewritten on a terminal, a plain line every two seconds elsewhere.
 * `renderProgress` is pure. Runs in the coordinator.
 */
import { describeTally } from "../evidence/evidence.js";
import { grouped, size } from "../evidence/words.js";
import type { Tally } from "../generator/messages.js";

export interface Moment {
  readonly phase: string;
  readonly open: number;
  readonly target: number;
  readonly perSecond: number;
  /** What the phase counts besides: "heartbeats 1,200 of 10,000". */
  readonly detail: string;
  readonly failed: Tally;
  readonly freeBytes: number;
}

export function renderProgress(moment: Moment): string {
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
/** Some terminals do not say how wide they are. */
const DEFAULT_COLUMNS = 80;

export class Progress {
  private lastMs = Number.NEGATIVE_INFINITY;
  private lastPhase = "";
  private readonly live: boolean;

  constructor(private readonly out: NodeJS.WriteStream) {
    this.live = out.isTTY;
  }

  show(moment: Moment): void {
    const nowMs = performance.now();
    const due = nowMs - this.lastMs >= (this.live ? LIVE_EVERY_MS : PLAIN_EVERY_MS);
    if (!due && moment.phase === this.lastPhase) return;
    this.lastMs = nowMs;
    this.lastPhase = moment.phase;
    const line = renderProgress(moment);
    // Cut to the terminal's width: a wrapped line could not be rewritten.
    if (this.live) this.out.write(`\r\x1b[K${line.slice(0, (this.out.columns || DEFAULT_COLUMNS) - 1)}`);
    else this.out.write(`${line}\n`);
  }

  /** Leaves the live line, so that what follows begins on its own. */
  end(): void {
    if (this.live && this.lastPhase !== "") this.out.write("\r\x1b[K");
  }
}
