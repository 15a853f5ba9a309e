/**
 * Counts the live connections of each client address in one worker; exists only where --connections-per-address limits them.
 * One entry per address, removed with its last connection. The entry is the connection's user data, because a closed
 * socket no longer knows its peer.
 *
 * Workers do not ask each other before they admit a client. Each reports the counts that changed to the hub, and the hub
 * reports which addresses have reached the limit over all workers. Until that arrives, only the worker's own share limits
 * an address.
 */
import { fullestWorker } from "../config/capacity.js";

/** One per address, shared by all its connections. */
export interface AddressEntry {
  readonly address: string;
  count: number;
}

/**
 * How many connections of one address a worker takes: its even share and five standard deviations, because the kernel
 * spreads connections by hash (src/README.md fact 1). A burst can reach this in each worker before the hub reports back.
 */
export function addressShare(limit: number, workers: number): number {
  return workers === 1 ? limit : Math.min(limit, fullestWorker(limit, workers));
}

export class ClientAddresses {
  readonly #max: number;
  /** Whether several workers report to a hub that adds their counts up. */
  readonly areReported: boolean;
  readonly #counts = new Map<string, AddressEntry>();
  /** At the limit over all workers, by the hub's last report. */
  readonly #atLimit = new Set<string>();
  /** ClientAddresses whose count the hub does not know yet. */
  readonly #changed = new Set<string>();

  constructor(max: number, areReported = false) {
    this.#max = max;
    this.areReported = areReported;
  }

  /** Counts one connection more; undefined when the address is at its limit. */
  acquire(address: string): AddressEntry | undefined {
    const entry = this.#counts.get(address) ?? { address, count: 0 };
    if (entry.count >= this.#max || this.#atLimit.has(address)) return undefined;
    if (entry.count === 0) this.#counts.set(address, entry);
    entry.count += 1;
    if (this.areReported) this.#changed.add(address);
    return entry;
  }

  release(entry: AddressEntry): void {
    entry.count -= 1;
    if (entry.count === 0) this.#counts.delete(entry.address);
    if (this.areReported) this.#changed.add(entry.address);
  }

  /** The hub reports which addresses have reached the limit over all workers, and which no longer have. */
  updateAtLimit(reached: readonly string[], below: readonly string[]): void {
    for (const address of reached) this.#atLimit.add(address);
    for (const address of below) this.#atLimit.delete(address);
  }

  /** The next `max` counts that the hub does not know, which are then taken as known. */
  report(max: number): [address: string, count: number][] {
    const counts: [string, number][] = [];
    for (const address of this.#changed) {
      if (counts.length === max) break;
      counts.push([address, this.#counts.get(address)?.count ?? 0]);
      this.#changed.delete(address);
    }
    return counts;
  }

  /** On a new link the worker reports all counts again, and the hub all addresses at the limit. */
  relinked(): void {
    this.#atLimit.clear();
    this.#changed.clear();
    if (this.areReported) for (const address of this.#counts.keys()) this.#changed.add(address);
  }

  /** ClientAddresses with live connections. */
  get size(): number {
    return this.#counts.size;
  }
}
