/**
 * The gateway's eye on its machine. Once a second the hub process says how things stand; the kernel's counters are looked at
 * then, and what stops the gateway is named in the log, when it begins and when it is over. Now and then the machine is
 * surveyed, and the hub told at which counts its ceilings are. Supervisor only: it is never busy, and forks the workers.
 */
import type { Log } from "../log.js";
import type { MachineNews, Present } from "./control-channel.js";

/** A survey takes one to nine milliseconds; ceilings move as slowly as other programs take memory. */
const SURVEY_EVERY_MS = 15_000;

/** What this machine will run out of first, and at which count. */
export interface FirstCeiling {
  readonly limit: string;
  readonly connections: number;
}

/** What the command line hands in: src/ does not read kernel limits beyond its own (limits.ts). */
export interface Machine {
  /** Processors that the gateway may use: a fraction where a CPU quota makes it one. */
  readonly cpus: number;
  /** Bytes that it may use: the machine's, or the tightest control group's where that is less. */
  readonly memoryBytes: number;
  readonly first: FirstCeiling | undefined;
  /** Limit → the count at which it bites, with so many of our connections among what is used; unknown ones left out. */
  ceilings(open: number): Readonly<Record<string, number>>;
  /** What began to stop the gateway since the last look, and of what there has been no sign for some time. */
  sample(present: Present): {
    readonly began: readonly {
      readonly id: string;
      readonly title: string;
      readonly numbers: Readonly<Record<string, number | null>>;
      readonly remedy: string;
    }[];
    readonly over: readonly { readonly id: string; readonly seconds: number }[];
  };
  /** Limit → looks that found it at work. */
  readonly limitEvents: Readonly<Record<string, number>>;
}

export class MachineMonitor {
  #surveyedMs = Number.NEGATIVE_INFINITY;
  #ceilings: Readonly<Record<string, number>> = {};
  #told = "";
  #sampleFailed = false;

  constructor(
    private readonly machine: Machine,
    private readonly log: Log,
    private readonly tellHub: (news: MachineNews) => void,
  ) {}

  /** A hub process that has just started knows nothing yet. */
  renew(): void {
    this.#surveyedMs = Number.NEGATIVE_INFINITY;
    this.#told = "";
  }

  heard(present: Present): void {
    try {
      this.#watch(present);
    } catch (error) {
      // Every client hangs on the supervisor: it must not end for the sake of a gauge.
      if (!this.#sampleFailed) this.log("error", "this machine could not be looked at", { error: String(error) });
      this.#sampleFailed = true;
    }
  }

  #watch(present: Present): void {
    this.#sample(present);
    const nowMs = performance.now();
    // Without a worker linked, the hub does not know yet how many connections of ours are among what is used.
    if (present.workers > 0 && nowMs - this.#surveyedMs >= SURVEY_EVERY_MS) {
      this.#surveyedMs = nowMs;
      this.#ceilings = this.machine.ceilings(present.connections);
    }
    const news = { ceilings: this.#ceilings, limitEvents: this.machine.limitEvents };
    const text = JSON.stringify(news);
    if (text === this.#told) return;
    this.#told = text;
    this.tellHub({ type: "machine", ...news });
  }

  #sample(present: Present): void {
    const { began, over } = this.machine.sample(present);
    for (const { id, title, numbers, remedy } of began) {
      const known = Object.entries(numbers).flatMap(([name, n]) => (n === null ? [] : [`${name} ${n}`]));
      const { connections } = present;
      this.log("warn", `${title} (${known.join(", ")}); remedy: ${remedy}`, { limit: id, connections });
    }
    for (const { id, seconds } of over) this.log("info", `no sign of ${id} any more`, { limit: id, seconds });
  }
}
