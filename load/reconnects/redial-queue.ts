/**
 * When each connection dials again: one list of connections for each millisecond in use, so that the cost of a turn depends on
 * how many are due, not on how many wait. Pure; runs in generators.
 */
export class RedialQueue {
  /** When each connection is due; Infinity for those that do not wait. */
  readonly #atMs: Float64Array;
  readonly #lists = new Map<number, number[]>();
  /** No connection is due in an earlier millisecond. */
  nextMs = Number.POSITIVE_INFINITY;
  waiting = 0;

  constructor(connections: number) {
    this.#atMs = new Float64Array(connections).fill(Number.POSITIVE_INFINITY);
  }

  set(number: number, atMs: number): void {
    if (this.#atMs[number] === Number.POSITIVE_INFINITY) this.waiting++;
    // Whole milliseconds: an entry that was set again is recognised in its old list by its other time.
    const ms = Math.ceil(atMs);
    this.#atMs[number] = ms;
    const list = this.#lists.get(ms);
    if (list) list.push(number);
    else this.#lists.set(ms, [number]);
    this.nextMs = Math.min(this.nextMs, ms);
  }

  /** Takes at most `max` connections that are due out of the queue and calls `each` for them. */
  take(nowMs: number, max: number, each: (number: number) => void): void {
    const taken: number[] = [];
    while (this.waiting > 0 && this.nextMs <= nowMs && taken.length < max) {
      const list = this.#lists.get(this.nextMs);
      const number = list?.pop();
      if (number === undefined) this.#lists.delete(this.nextMs++);
      else if (this.#atMs[number] === this.nextMs) {
        this.#atMs[number] = Number.POSITIVE_INFINITY;
        this.waiting--;
        taken.push(number);
      }
    }
    if (this.waiting === 0) this.#forget();
    // After the loop, because a connection whose attempt fails at once is set again.
    taken.forEach(each);
  }

  clear(): void {
    this.#atMs.fill(Number.POSITIVE_INFINITY);
    this.waiting = 0;
    this.#forget();
  }

  #forget(): void {
    this.#lists.clear();
    this.nextMs = Number.POSITIVE_INFINITY;
  }
}
