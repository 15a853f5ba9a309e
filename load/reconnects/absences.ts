/**
 * The account of who was away: how often, why, how long, and when they came back. Runs in generators; it decides nothing.
 */
import { Histogram } from "../generator/histogram.js";
import { count, type Tally } from "../generator/messages.js";
import type { Part } from "./steps.js";

const SECOND_MS = 1000;

type AbsencePart = Pick<
  Part,
  | "ends"
  | "refusals"
  | "departures"
  | "returns"
  | "mostAttempts"
  | "longestAwayMs"
  | "awayTimes"
  | "returnsBySecond"
  | "lastBackAtMs"
>;

export class AwayStats {
  private readonly leftAtMs: Float64Array;
  private readonly dials: Uint16Array;
  private readonly times = new Histogram();
  private readonly ends: Tally = {};
  private readonly refusals: Tally = {};
  private departures = 0;
  private returns = 0;
  private mostAttempts = 0;
  private longestAwayMs = 0;
  private lastBackAtMs = 0;
  private windowAtMs = 0;
  private bySecond: number[] = [];

  constructor(connections: number) {
    this.leftAtMs = new Float64Array(connections);
    this.dials = new Uint16Array(connections);
  }

  /** From here on seconds are counted anew. */
  window(atMs: number): void {
    this.windowAtMs = atMs;
    this.bySecond = [];
  }

  left(number: number, reason: string, nowMs: number): void {
    count(this.ends, reason);
    this.departures++;
    this.leftAtMs[number] = nowMs;
    this.dials[number] = 0;
  }

  dialled(number: number): void {
    this.dials[number]!++;
    this.mostAttempts = Math.max(this.mostAttempts, this.dials[number]!);
  }

  refused(reason: string): void {
    count(this.refusals, reason);
  }

  back(number: number, nowMs: number): void {
    this.returns++;
    const awayMs = nowMs - this.leftAtMs[number]!;
    this.times.recordMs(awayMs);
    this.longestAwayMs = Math.max(this.longestAwayMs, awayMs);
    this.lastBackAtMs = nowMs;
    const second = Math.max(0, Math.floor((nowMs - this.windowAtMs) / SECOND_MS));
    while (this.bySecond.length <= second) this.bySecond.push(0);
    this.bySecond[second]!++;
  }

  part(): AbsencePart {
    const { ends, refusals, departures, returns, mostAttempts, longestAwayMs, lastBackAtMs } = this;
    const totals = { ends, refusals, departures, returns, mostAttempts, longestAwayMs, lastBackAtMs };
    return { ...totals, awayTimes: this.times.encode(), returnsBySecond: this.bySecond };
  }
}
