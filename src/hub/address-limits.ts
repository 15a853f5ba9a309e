/**
 * Which client addresses are at --connections-per-address over all workers. Each worker reports the counts that changed; the sum
 * decides; every worker is notified when an address reaches the limit or falls below it. Counts are absolute, not differences,
 * so that a broken link loses nothing: the worker's counts are forgotten with the link, and reported again on the next. One
 * entry for each address and worker, removed with its last connection. Hub process only.
 */
import { ADDRESSES_A_FRAME, type AtLimit, type WorkerAddressCount } from "./wire.js";

/** Reports of several workers that come within this time make one notification. */
const GATHER_MS = 10;

export class AddressLimits<P> {
  readonly #limit: number;
  /** Sends a change to every worker. */
  readonly #notify: (change: AtLimit) => void;
  readonly #reported = new Map<P, Map<string, number>>();
  readonly #totals = new Map<string, number>();
  /** As the workers know it. */
  readonly #atLimit = new Set<string>();
  #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(limit: number, notify: (change: AtLimit) => void) {
    this.#limit = limit;
    this.#notify = notify;
  }

  /** Addresses with connections anywhere. */
  get size(): number {
    return this.#totals.size;
  }

  report(worker: P, counts: readonly WorkerAddressCount[]): void {
    const own = this.#reported.get(worker) ?? new Map<string, number>();
    this.#reported.set(worker, own);
    for (const [address, count] of counts) {
      this.#add(address, count - (own.get(address) ?? 0));
      if (count === 0) own.delete(address);
      else own.set(address, count);
    }
  }

  /** Its link is gone. */
  unlinked(worker: P): void {
    for (const [address, count] of this.#reported.get(worker) ?? []) this.#add(address, -count);
    this.#reported.delete(worker);
  }

  #add(address: string, difference: number): void {
    const total = (this.#totals.get(address) ?? 0) + difference;
    if (total === 0) this.#totals.delete(address);
    else this.#totals.set(address, total);
    if (total >= this.#limit === this.#atLimit.has(address)) return;
    this.#changed.add(address);
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Notifies the workers of what has changed since the last time. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const isAt = (address: string): boolean => (this.#totals.get(address) ?? 0) >= this.#limit;
    const crossed = [...this.#changed].filter((address) => isAt(address) !== this.#atLimit.has(address));
    this.#changed = new Set();
    for (const address of crossed) {
      if (isAt(address)) this.#atLimit.add(address);
      else this.#atLimit.delete(address);
    }
    for (const part of parts(crossed)) {
      this.#notify({ type: "atLimit", yes: part.filter(isAt), no: part.filter((address) => !isAt(address)) });
    }
  }

  /** For a worker that has just linked. */
  *current(): Generator<AtLimit> {
    for (const yes of parts([...this.#atLimit])) yield { type: "atLimit", yes, no: [] };
  }
}

function* parts(addresses: readonly string[]): Generator<string[]> {
  for (let at = 0; at < addresses.length; at += ADDRESSES_A_FRAME) yield addresses.slice(at, at + ADDRESSES_A_FRAME);
}
