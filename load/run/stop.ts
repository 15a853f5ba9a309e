/**
 * What may end a run before its time: a person (first signal orderly, second at once), the memory floor, the time limit.
 * It only notices; the coordinator acts. Samples free memory and the ramp on the way. Runs in the coordinator.
 */
import { SignalRequests } from "../../src/signals.js";
import type { MachineReader } from "../../sysctl/kernel/machine.js";
import { groupFloorBytes } from "./memory.js";

const POLL_EVERY_MS = 25;
const SAMPLE_EVERY_MS = 250;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export interface Bounds {
  readonly memoryFloorBytes: number;
  readonly timeLimitSeconds: number;
}

export type StopKind = "signal" | "memory floor" | "time limit";

export class Watch {
  readonly startedMs = performance.now();
  private readonly timer: NodeJS.Timeout;
  private readonly signals = new SignalRequests();
  private readonly onSignal = (signal: NodeJS.Signals): void => this.signalled(signal);
  /** Set once, by whatever came first. */
  stop: { readonly kind: StopKind; readonly text: string } | undefined;
  /** A second signal: no orderly close any more. */
  private hurry = false;
  /** Of the machine, or of the control group where that is nearer to its end. */
  freeBytes = Number.POSITIVE_INFINITY;
  minFreeBytes = Number.POSITIVE_INFINITY;
  /** What must be left of it. */
  floorBytes: number;

  constructor(
    private readonly host: MachineReader,
    private readonly bounds: Bounds,
    private readonly hooks: { sample(): void; atOnce(): void },
  ) {
    this.floorBytes = bounds.memoryFloorBytes;
    this.measure();
    this.timer = setInterval(() => this.sample(), SAMPLE_EVERY_MS);
    for (const signal of SIGNALS) process.on(signal, this.onSignal);
  }

  /** Waits for a condition: true when it came, false when `stalledMs` went by without `progress` changing, or on a stop. */
  async until(condition: () => boolean, stalledMs: number, progress: () => number = () => 0): Promise<boolean> {
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

  /** Waits for a condition, stop or no stop; only what must happen at once cuts it short. */
  async grace(condition: () => boolean, boundMs: number): Promise<void> {
    const deadlineMs = performance.now() + boundMs;
    while (!condition() && !this.hurry && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
    }
  }

  end(): void {
    clearInterval(this.timer);
    for (const signal of SIGNALS) process.off(signal, this.onSignal);
  }

  private sample(): void {
    const { timeLimitSeconds: limit } = this.bounds;
    const what = this.measure();
    if (this.freeBytes < this.floorBytes) {
      const text = `${what} fell to ${this.freeBytes} bytes, below the floor of ${this.floorBytes}`;
      this.stop ??= { kind: "memory floor", text };
    } else if (performance.now() - this.startedMs > limit * 1000) {
      this.stop ??= { kind: "time limit", text: `the time limit of ${limit} s was reached` };
    }
    this.hooks.sample();
  }

  /** What is nearest to its floor, in words. */
  private measure(): string {
    const { memoryFloorBytes } = this.bounds;
    const { freeBytes } = this.host.memory();
    const group = this.host.groupMemory();
    const left = group ? Math.max(0, group.limit - group.used) : Number.POSITIVE_INFINITY;
    const floor = group ? groupFloorBytes(group.limit, memoryFloorBytes) : memoryFloorBytes;
    const isGroup = left - floor < freeBytes - memoryFloorBytes;
    [this.freeBytes, this.floorBytes] = isGroup ? [left, floor] : [freeBytes, memoryFloorBytes];
    this.minFreeBytes = Math.min(this.minFreeBytes, this.freeBytes);
    return isGroup ? `what the control group ${group?.at ?? ""} has left` : "free memory and page cache";
  }

  private signalled(signal: NodeJS.Signals): void {
    if (this.signals.received() === "same") return;
    if (this.stop?.kind === "signal") {
      this.hurry = true;
      this.hooks.atOnce();
    }
    this.stop = { kind: "signal", text: `stopped by ${signal}` };
  }
}
