/**
 * Counts and times how connections were away: how often, why, how long, and when they were back. Runs in generators; it decides
 * nothing.
 */
import { Histogram } from "../generator/histogram.js";
import { count, type Tally } from "../generator/messages.js";
import type { ScenarioPart } from "./steps.js";

const SECOND_MS = 1000;

type AwayPart = Pick<
  ScenarioPart,
  | "ends"
  | "refusals"
  | "departures"
  | "returns"
  | "maxAttempts"
  | "longestAwayMs"
  | "awayTimes"
  | "returnsBySecond"
  | "lastBackAtMs"
>;

export class AwayStats {
  readonly #leftAtMs: Float64Array;
  readonly #dials: Uint16Array;
  readonly #times = new Histogram();
  readonly #ends: Tally = {};
  readonly #refusals: Tally = {};
  #departures = 0;
  #returns = 0;
  #maxAttempts = 0;
  #longestAwayMs = 0;
  #lastBackAtMs = 0;
  #windowAtMs = 0;
  #bySecond: number[] = [];

  constructor(connections: number) {
    this.#leftAtMs = new Float64Array(connections);
    this.#dials = new Uint16Array(connections);
  }

  /** Begins a window: returns are counted by its seconds. */
  window(atMs: number): void {
    this.#windowAtMs = atMs;
    this.#bySecond = [];
  }

  left(number: number, reason: string, nowMs: number): void {
    count(this.#ends, reason);
    this.#departures++;
    this.#leftAtMs[number] = nowMs;
    this.#dials[number] = 0;
  }

  dialled(number: number): void {
    this.#dials[number]!++;
    this.#maxAttempts = Math.max(this.#maxAttempts, this.#dials[number]!);
  }

  refused(reason: string): void {
    count(this.#refusals, reason);
  }

  back(number: number, nowMs: number): void {
    this.#returns++;
    const awayMs = nowMs - this.#leftAtMs[number]!;
    this.#times.recordMs(awayMs);
    this.#longestAwayMs = Math.max(this.#longestAwayMs, awayMs);
    this.#lastBackAtMs = nowMs;
    const second = Math.max(0, Math.floor((nowMs - this.#windowAtMs) / SECOND_MS));
    while (this.#bySecond.length <= second) this.#bySecond.push(0);
    this.#bySecond[second]!++;
  }

  part(): AwayPart {
    const ends = this.#ends;
    const refusals = this.#refusals;
    const departures = this.#departures;
    const returns = this.#returns;
    const maxAttempts = this.#maxAttempts;
    const longestAwayMs = this.#longestAwayMs;
    const lastBackAtMs = this.#lastBackAtMs;
    const totals = { ends, refusals, departures, returns, maxAttempts, longestAwayMs, lastBackAtMs };
    return { ...totals, awayTimes: this.#times.encode(), returnsBySecond: this.#bySecond };
  }
}
