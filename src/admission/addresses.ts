/**
 * Counts the live connections of each client address in one worker; exists only where --connections-per-address limits them.
 * An IPv6 address counts as its /64, which is what one subscriber is given at least: it holds 2^64 addresses.
 * One entry per address, removed with its last connection. The entry is the connection's user data, because a closed
 * socket no longer knows its peer.
 *
 * Workers do not ask each other before they admit a client. Each reports the counts that changed to the hub, and the hub
 * reports which addresses have reached the limit over all workers. Until that arrives, only the worker's own share limits
 * an address.
 */
import { fullestWorker } from "../config/capacity.js";
import { canonicalAddress } from "./client-address.js";

/** One per address, shared by all its connections. */
export interface AddressEntry {
  /** As addressKey has it. */
  readonly address: string;
  count: number;
  /** Whether the hub has ever been told of it: it must then be told of its end. */
  isReported: boolean;
}

/** Under which an address is counted: IPv4 as it is, also within IPv6 (`::ffff:192.0.2.1`); IPv6 as `2001:db8:0:1::/64`. */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const canonical = canonicalAddress(address);
  if (!canonical?.includes(":")) return canonical ?? address;
  const [head = [], tail = []] = canonical.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(":")}::/64`;
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
  /**
   * Addresses whose count the hub does not know yet: live ones, and ended ones that it was told of. So this stays bounded
   * while there is no hub, however many addresses come and go.
   */
  readonly #changed = new Set<string>();

  constructor(max: number, areReported = false) {
    this.#max = max;
    this.areReported = areReported;
  }

  /** Counts one connection more; undefined when the address is at its limit. */
  acquire(client: string): AddressEntry | undefined {
    const address = addressKey(client);
    // One that ended, and still waits to be reported, is known to the hub.
    const entry = this.#counts.get(address) ?? { address, count: 0, isReported: this.#changed.has(address) };
    if (entry.count >= this.#max || this.#atLimit.has(address)) return undefined;
    if (entry.count === 0) this.#counts.set(address, entry);
    entry.count += 1;
    if (this.areReported) this.#changed.add(address);
    return entry;
  }

  release(entry: AddressEntry): void {
    entry.count -= 1;
    if (entry.count === 0) this.#counts.delete(entry.address);
    if (!this.areReported) return;
    if (entry.count > 0 || entry.isReported) this.#changed.add(entry.address);
    else this.#changed.delete(entry.address);
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
      const entry = this.#counts.get(address);
      if (entry) entry.isReported = true;
      counts.push([address, entry?.count ?? 0]);
      this.#changed.delete(address);
    }
    return counts;
  }

  /** On a new link the worker reports all counts again, and the hub all addresses at the limit. */
  relinked(): void {
    this.#atLimit.clear();
    this.#changed.clear();
    if (!this.areReported) return;
    for (const entry of this.#counts.values()) {
      // The hub has forgotten what came over the link before.
      entry.isReported = false;
      this.#changed.add(entry.address);
    }
  }

  /** Addresses with live connections. */
  get size(): number {
    return this.#counts.size;
  }

  /** Addresses that wait to be reported. */
  get unreported(): number {
    return this.#changed.size;
  }
}
