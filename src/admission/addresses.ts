/**
 * Live connections of each client address, in one worker; only where --connections-per-address asks for it. One entry an
 * address, gone with its last connection. The entry is the connection's user data, because a dead socket no longer knows
 * its peer.
 */
import { fullestWorker } from "../config/capacity.js";

/** What all connections of one address share. */
export interface Held {
  readonly address: string;
  count: number;
}

/**
 * How many of an address's connections one worker takes: the kernel spreads them by hash, so its even part with five
 * standard deviations of room. An address is not refused below the limit, and held to it the closer the higher it is.
 */
export function addressShare(limit: number, workers: number): number {
  return workers === 1 ? limit : Math.min(limit, fullestWorker(limit, workers));
}

export class Addresses {
  readonly #held = new Map<string, Held>();

  constructor(private readonly most: number) {}

  /** Counts one more; undefined when the address is at its limit. */
  enter(address: string): Held | undefined {
    let held = this.#held.get(address);
    if (held === undefined) {
      held = { address, count: 0 };
      this.#held.set(address, held);
    }
    if (held.count >= this.most) return undefined;
    held.count += 1;
    return held;
  }

  leave(held: Held): void {
    held.count -= 1;
    if (held.count === 0) this.#held.delete(held.address);
  }

  /** Addresses with live connections. */
  get size(): number {
    return this.#held.size;
  }
}
