/**
 * Watches the machine for the gateway. Once a second, when the hub reports its load, it samples the kernel's counters, and
 * logs which limit stops the gateway, when that begins and when it is over. Every 15 s it surveys the machine and tells
 * the hub at which numbers of connections each limit bites. Supervisor only: it is never busy, and it forks the workers.
 */
import type { Log } from "../log.js";
import type { LoadSample, MachineNews } from "./control-channel.js";

/** A survey takes one to nine milliseconds; ceilings move as slowly as other programs take memory. */
const SURVEY_EVERY_MS = 15_000;

/** What this machine will run out of first, and at which count. */
export interface KnownCeiling {
  readonly limit: string;
  readonly connections: number;
}

/** Given by the command line, because only sysctl/ reads the machine's limits; src/ reads its own (rlimits.ts). */
export interface MachineProbe {
  /** Processors that the gateway may use: a fraction where a CPU quota makes it one. */
  readonly cpus: number;
  /** Bytes that it may use: the machine's, or the tightest control group's where that is less. */
  readonly memoryBytes: number;
  readonly first: KnownCeiling | undefined;
  /** Limit → the count at which it bites, with so many of our connections among what is used; unknown ones left out. */
  ceilings(open: number): Readonly<Record<string, number>>;
  /** Limits that began to stop the gateway since the last sample, and those of which there has been no sign for some time. */
  sample(load: LoadSample): {
    readonly began: readonly {
      readonly id: string;
      readonly title: string;
      readonly numbers: Readonly<Record<string, number | null>>;
      readonly remedy: string;
    }[];
    readonly over: readonly { readonly id: string; readonly seconds: number }[];
  };
  /** Limit → samples that found it at work. */
  readonly limitEvents: Readonly<Record<string, number>>;
}

export class MachineMonitor {
  #surveyedMs = Number.NEGATIVE_INFINITY;
  #ceilings: Readonly<Record<string, number>> = {};
  #reported = "";
  #sampleFailed = false;

  readonly #machine: MachineProbe;
  readonly #log: Log;
  readonly #sendToHub: (news: MachineNews) => void;

  constructor(machine: MachineProbe, log: Log, sendToHub: (news: MachineNews) => void) {
    this.#sendToHub = sendToHub;
    this.#log = log;
    this.#machine = machine;
  }

  /** A hub process that has just started knows nothing yet. */
  renew(): void {
    this.#surveyedMs = Number.NEGATIVE_INFINITY;
    this.#reported = "";
  }

  update(load: LoadSample): void {
    try {
      this.#watch(load);
    } catch (error) {
      // Every client depends on the supervisor: it must not end for the sake of a gauge.
      if (!this.#sampleFailed) this.#log("error", "this machine could not be sampled", { error: String(error) });
      this.#sampleFailed = true;
    }
  }

  #watch(load: LoadSample): void {
    this.#sample(load);
    const nowMs = performance.now();
    // Without a worker linked, the hub does not know yet how many connections of ours are among what is used.
    if (load.workers > 0 && nowMs - this.#surveyedMs >= SURVEY_EVERY_MS) {
      this.#surveyedMs = nowMs;
      this.#ceilings = this.#machine.ceilings(load.connections);
    }
    const news = { ceilings: this.#ceilings, limitEvents: this.#machine.limitEvents };
    const text = JSON.stringify(news);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#sendToHub({ type: "machine", ...news });
  }

  #sample(load: LoadSample): void {
    const { began, over } = this.#machine.sample(load);
    for (const { id, title, numbers, remedy } of began) {
      const known = Object.entries(numbers).flatMap(([name, n]) => (n === null ? [] : [`${name} ${n}`]));
      const { connections } = load;
      this.#log("warn", `${title} (${known.join(", ")}); remedy: ${remedy}`, { limit: id, connections });
    }
    for (const { id, seconds } of over) this.#log("info", `no sign of ${id} any more`, { limit: id, seconds });
  }
}
