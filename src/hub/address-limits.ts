/**
 * Which client addresses are at their limit over all workers: each worker reports the counts that changed, the sum
 * decides, and every worker hears of an address whose side of the limit changed. Counts are whole, not differences, so that a
 * link that breaks loses nothing: what its worker reported is forgotten with it, and reported again on the next. One
 * entry an address and worker, gone with its last connection. Hub process only.
 */
import { ADDRESSES_A_FRAME, type AddressCount, type AtLimit } from "./wire.js";

/** So that the reports of all workers that come together make one answer. */
const GATHER_MS = 10;

export class AddressBook<P> {
  readonly #reported = new Map<P, Map<string, number>>();
  readonly #totals = new Map<string, number>();
  /** As the workers know it. */
  readonly #atLimit = new Set<string>();
  #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly limit: number,
    /** Says it to every worker. */
    private readonly tell: (news: AtLimit) => void,
  ) {}

  /** Addresses with connections anywhere. */
  get size(): number {
    return this.#totals.size;
  }

  report(worker: P, counts: readonly AddressCount[]): void {
    const own = this.#reported.get(worker) ?? new Map<string, number>();
    this.#reported.set(worker, own);
    for (const [address, count] of counts) {
      this.#add(address, count - (own.get(address) ?? 0));
      if (count === 0) own.delete(address);
      else own.set(address, count);
    }
  }

  /** Its link is gone. */
  left(worker: P): void {
    for (const [address, count] of this.#reported.get(worker) ?? []) this.#add(address, -count);
    this.#reported.delete(worker);
  }

  #add(address: string, difference: number): void {
    const total = (this.#totals.get(address) ?? 0) + difference;
    if (total === 0) this.#totals.delete(address);
    else this.#totals.set(address, total);
    if (total >= this.limit === this.#atLimit.has(address)) return;
    this.#changed.add(address);
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Says what has changed since the last time. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const isAt = (address: string): boolean => (this.#totals.get(address) ?? 0) >= this.limit;
    const turned = [...this.#changed].filter((address) => isAt(address) !== this.#atLimit.has(address));
    this.#changed = new Set();
    for (const address of turned) {
      if (isAt(address)) this.#atLimit.add(address);
      else this.#atLimit.delete(address);
    }
    for (const part of parts(turned)) {
      this.tell({ type: "atLimit", yes: part.filter(isAt), no: part.filter((address) => !isAt(address)) });
    }
  }

  /** For a worker that has just linked. */
  *standing(): Generator<AtLimit> {
    for (const yes of parts([...this.#atLimit])) yield { type: "atLimit", yes, no: [] };
  }
}

function* parts(addresses: readonly string[]): Generator<string[]> {
  for (let at = 0; at < addresses.length; at += ADDRESSES_A_FRAME) yield addresses.slice(at, at + ADDRESSES_A_FRAME);
}
