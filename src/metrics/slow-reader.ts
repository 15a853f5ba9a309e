/** One slow reader, as `GET /slow-readers` shows it: workers send it to the hub. */
export interface SlowReader {
  /** Of the peer: behind a balancer, the balancer's. */
  readonly address: string;
  readonly topics: readonly string[];
  /** Pushes that it has not been sent so far, and their bytes. */
  readonly messages: number;
  readonly bytes: number;
  /** Epoch milliseconds of the push that first found its buffer full. */
  readonly sinceMs: number;
  /** When it was disconnected; absent while it is connected. */
  readonly cutMs?: number;
}

/** At most `max` of them, those with the most unsent bytes first. */
export const worstFirst = (readers: readonly SlowReader[], max: number): SlowReader[] =>
  readers.toSorted((a, b) => b.bytes - a.bytes || b.messages - a.messages).slice(0, max);
