/**
 * Closes a steady share: so many connections per second in an orderly way, in the order of their descriptors, spread over each
 * second. Runs in generators, on one timer while it lasts. Reconnecting is not its task (reconnects.ts).
 */
import { monotonicMs } from "../generator/clock.js";
import type { Connections } from "../generator/connections.js";

const TICK_MS = 40;

/** The connections of a generator, as far as churn uses them. */
export type ClosableConnections = Pick<Connections, "top" | "isOpen" | "close">;

export class Churn {
  readonly #connections: () => ClosableConnections;
  readonly #wake: () => void;
  #beganMs = 0;
  #forMs = 0;
  #perMs = 0;
  #asked = 0;
  #cursor = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Connections whose close frame was sent and not answered yet. */
  closing = 0;

  constructor(connections: () => ClosableConnections, wake: () => void) {
    this.#connections = connections;
    this.#wake = wake;
  }

  begin(perSecond: number, forMs: number): void {
    this.#beganMs = monotonicMs();
    this.#forMs = forMs;
    this.#perMs = perSecond / 1000;
    this.#asked = 0;
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  left(): void {
    this.closing--;
  }

  get expecting(): boolean {
    return this.closing > 0;
  }

  #tick(): void {
    const connections = this.#connections();
    const elapsedMs = Math.min(this.#forMs, monotonicMs() - this.#beganMs);
    const due = Math.floor(elapsedMs * this.#perMs);
    // At most one round: those that it did not find open are away.
    for (let visited = 0; this.#asked < due && visited < connections.top; visited++) {
      if (this.#cursor >= connections.top) this.#cursor = 0;
      const fd = this.#cursor++;
      if (!connections.isOpen(fd)) continue;
      this.#asked++;
      this.closing++;
      connections.close(fd);
    }
    if (elapsedMs === this.#forMs) this.stop();
    this.#wake();
  }
}

export interface SampleOptions {
  readonly connections: Pick<Connections, "top" | "isOpen" | "numberOf">;
  /** The number, in the whole run, of this generator's first connection. */
  readonly first: number;
  readonly share: number;
}

/** Calls `each` for that share of the open connections, evenly by their numbers in the whole run. */
export function sampleConnections(
  { connections, first, share }: SampleOptions,
  each: (fd: number, number: number) => void,
): void {
  for (let fd = 0; fd < connections.top; fd++) {
    if (!connections.isOpen(fd)) continue;
    const number = connections.numberOf(fd);
    const global = first + number;
    // 30 % takes three of any ten successive numbers.
    if (Math.floor((global + 1) * share) > Math.floor(global * share)) each(fd, number);
  }
}
