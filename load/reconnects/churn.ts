/**
 * Lets a steady share leave: so many connections a second close in order, one after the other through the descriptors,
 * spread over each second. Runs in generators, driven by one timer while it lasts. Coming back is returning.ts's.
 */
import { monotonicMs } from "../generator/clock.js";
import type { Connections } from "../generator/connections.js";

const TICK_MS = 40;

export class Churn {
  private beganMs = 0;
  private forMs = 0;
  private perMs = 0;
  private asked = 0;
  private cursor = 0;
  private timer: NodeJS.Timeout | undefined;
  /** Asked to close and not closed yet. */
  closing = 0;

  constructor(
    private readonly connections: () => Connections,
    private readonly wake: () => void,
  ) {}

  begin(perSecond: number, forMs: number): void {
    this.beganMs = monotonicMs();
    this.forMs = forMs;
    this.perMs = perSecond / 1000;
    this.asked = 0;
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  left(): void {
    this.closing--;
  }

  get expecting(): boolean {
    return this.closing > 0;
  }

  private tick(): void {
    const connections = this.connections();
    const elapsedMs = Math.min(this.forMs, monotonicMs() - this.beganMs);
    const due = Math.floor(elapsedMs * this.perMs);
    // One round at most: the rest are away.
    for (let looked = 0; this.asked < due && looked < connections.top; looked++) {
      if (this.cursor >= connections.top) this.cursor = 0;
      const fd = this.cursor++;
      if (!connections.isOpen(fd)) continue;
      this.asked++;
      this.closing++;
      connections.close(fd);
    }
    if (elapsedMs === this.forMs) this.stop();
    this.wake();
  }
}

/** `first` is the number, in the whole run, of this generator's first connection. */
export function sampleConnections(
  connections: Connections,
  first: number,
  share: number,
  act: (fd: number, number: number) => void,
): void {
  for (let fd = 0; fd < connections.top; fd++) {
    if (!connections.isOpen(fd)) continue;
    const number = connections.numberOf(fd);
    const global = first + number;
    // Each number's turn: 30 % takes three out of any ten in a row.
    if (Math.floor((global + 1) * share) > Math.floor(global * share)) act(fd, number);
  }
}
