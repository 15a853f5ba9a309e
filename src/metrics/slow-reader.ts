/** One slow reader as an operator sees it: on its way from a worker to the admin port. */
export interface SlowReader {
  /** Of the peer: behind a balancer, the balancer's. */
  readonly address: string;
  readonly topics: readonly string[];
  /** Pushes that it did not get so far, and their bytes. */
  readonly messages: number;
  readonly bytes: number;
  /** Epoch milliseconds of the push that first found its buffer full. */
  readonly sinceMs: number;
  /** When it was cut; absent while it is connected. */
  readonly cutMs?: number;
}

/** The greatest first. */
export const worstFirst = (readers: readonly SlowReader[], max: number): SlowReader[] =>
  readers.toSorted((a, b) => b.bytes - a.bytes || b.messages - a.messages).slice(0, max);
