/**
 * The limits of a run: what may end it early is a signal (the first one orderly, the second at once), the memory floor, or
 * the time limit. Notes which came first; the coordinator acts on it. Samples free memory on the way. Runs in the
 * coordinator.
 */
import { SignalRequests } from "../../src/signals.js";
import type { MachineReader } from "../../sysctl/kernel/machine.js";
import { groupFloorBytes } from "./memory.js";

const POLL_EVERY_MS = 25;
const SAMPLE_EVERY_MS = 250;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export interface LimitOptions {
  readonly memoryFloorBytes: number;
  readonly timeLimitSeconds: number;
}

/** What the limits read of the machine: `MachineReader`, or a test's own. */
export type MemoryReader = Pick<MachineReader, "memory" | "groupMemory">;

export interface LimitHooks {
  /** Called at each sample. */
  sample(): void;
  /** Called at the second signal: end everything at once. */
  killNow(): void;
}

export type StopType = "signal" | "memory floor" | "time limit";

export class RunLimits {
  readonly startedMs = performance.now();
  readonly #host: MemoryReader;
  readonly #options: LimitOptions;
  readonly #hooks: LimitHooks;
  readonly #timer: NodeJS.Timeout;
  readonly #signals = new SignalRequests();
  readonly #onSignal = (signal: NodeJS.Signals): void => this.#onStopSignal(signal);
  /** Set by the first limit that was reached; a signal replaces it. */
  stop: { readonly type: StopType; readonly text: string } | undefined;
  /** A second signal came: no orderly close any more. */
  #mustEndNow = false;
  /** Free memory of the machine, or of the control group where that is nearer to its floor. */
  freeBytes = Number.POSITIVE_INFINITY;
  minFreeBytes = Number.POSITIVE_INFINITY;
  /** The floor that belongs to `freeBytes`. */
  floorBytes: number;

  constructor(host: MemoryReader, options: LimitOptions, hooks: LimitHooks) {
    this.#host = host;
    this.#options = options;
    this.#hooks = hooks;
    this.floorBytes = options.memoryFloorBytes;
    this.#measure();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_EVERY_MS);
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  /** Waits for a condition: true when it is met; false on a stop, or when `progress` has not changed for `stalledMs`. */
  async waitFor(condition: () => boolean, stalledMs: number, progress: () => number = () => 0): Promise<boolean> {
    let last = progress();
    let movedMs = performance.now();
    while (!condition()) {
      if (this.stop || performance.now() - movedMs > stalledMs) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
      const now = progress();
      if (now === last) continue;
      last = now;
      movedMs = performance.now();
    }
    return true;
  }

  /** Waits for a condition even after a stop, for at most `maxMs`; only a second signal cuts it short. */
  async waitThroughStop(condition: () => boolean, maxMs: number): Promise<void> {
    const deadlineMs = performance.now() + maxMs;
    while (!condition() && !this.#mustEndNow && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
    }
  }

  end(): void {
    clearInterval(this.#timer);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }

  #sample(): void {
    const { timeLimitSeconds: limit } = this.#options;
    const what = this.#measure();
    if (this.freeBytes < this.floorBytes) {
      const text = `${what} fell to ${this.freeBytes} bytes, below the floor of ${this.floorBytes}`;
      this.stop ??= { type: "memory floor", text };
    } else if (performance.now() - this.startedMs > limit * 1000) {
      this.stop ??= { type: "time limit", text: `the time limit of ${limit} s was reached` };
    }
    this.#hooks.sample();
  }

  /** Reads free memory; returns which memory is nearest to its floor, for the reason of a stop. */
  #measure(): string {
    const { memoryFloorBytes } = this.#options;
    const { freeBytes } = this.#host.memory();
    const group = this.#host.groupMemory();
    const left = group ? Math.max(0, group.limit - group.used) : Number.POSITIVE_INFINITY;
    const floor = group ? groupFloorBytes(group.limit, memoryFloorBytes) : memoryFloorBytes;
    const isGroup = left - floor < freeBytes - memoryFloorBytes;
    [this.freeBytes, this.floorBytes] = isGroup ? [left, floor] : [freeBytes, memoryFloorBytes];
    this.minFreeBytes = Math.min(this.minFreeBytes, this.freeBytes);
    return isGroup ? `the free memory of the control group ${group?.at ?? ""}` : "free memory and page cache";
  }

  #onStopSignal(signal: NodeJS.Signals): void {
    if (this.#signals.received() === "same") return;
    if (this.stop?.type === "signal") {
      this.#mustEndNow = true;
      this.#hooks.killNow();
    }
    this.stop = { type: "signal", text: `stopped by ${signal}` };
  }
}
