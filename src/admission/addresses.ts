/**
 * Live connections of each client address, in one worker; only where --connections-per-address asks for it. One entry an
 * address, gone with its last connection. The entry is the connection's user data, because a dead socket no longer knows
 * its peer.
 *
 * Several workers do not ask each other before they let somebody in. Each reports the counts that changed to the hub and
 * hears which addresses have reached the limit in all; until that has come, its own part is all that holds an address.
 */
import { fullestWorker } from "../config/capacity.js";

/** What all connections of one address share. */
export interface Held {
  readonly address: string;
  count: number;
}

/**
 * How many of an address's connections one worker takes: the kernel spreads them by hash, so its even part with five
 * standard deviations of room. What a burst can reach before the workers have heard of each other.
 */
export function addressShare(limit: number, workers: number): number {
  return workers === 1 ? limit : Math.min(limit, fullestWorker(limit, workers));
}

export class Addresses {
  readonly #held = new Map<string, Held>();
  readonly #atLimit = new Set<string>();
  /** Whose count is to be reported. */
  readonly #changed = new Set<string>();

  constructor(
    private readonly max: number,
    /** Whether there are others, and a hub that adds up. */
    readonly areReported = false,
  ) {}

  /** Counts one more; undefined when the address is at its limit. */
  enter(address: string): Held | undefined {
    const held = this.#held.get(address) ?? { address, count: 0 };
    if (held.count >= this.max || this.#atLimit.has(address)) return undefined;
    if (held.count === 0) this.#held.set(address, held);
    held.count += 1;
    if (this.areReported) this.#changed.add(address);
    return held;
  }

  leave(held: Held): void {
    held.count -= 1;
    if (held.count === 0) this.#held.delete(held.address);
    if (this.areReported) this.#changed.add(held.address);
  }

  /** The hub's word: these have reached the limit over all workers, those no longer. */
  heard(yes: readonly string[], no: readonly string[]): void {
    for (const address of yes) this.#atLimit.add(address);
    for (const address of no) this.#atLimit.delete(address);
  }

  /** The next `most` counts that the hub does not know. */
  report(max: number): [address: string, count: number][] {
    const counts: [string, number][] = [];
    for (const address of this.#changed) {
      if (counts.length === max) break;
      counts.push([address, this.#held.get(address)?.count ?? 0]);
      this.#changed.delete(address);
    }
    return counts;
  }

  /** A hub that knows nothing of this worker is told everything, and says anew who is at the limit. */
  relinked(): void {
    this.#atLimit.clear();
    this.#changed.clear();
    if (this.areReported) for (const address of this.#held.keys()) this.#changed.add(address);
  }

  /** Addresses with live connections. */
  get size(): number {
    return this.#held.size;
  }
}
