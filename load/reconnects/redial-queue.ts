/**
 * Who is due when: a list for each millisecond in which somebody is, so that a turn costs what it hands out, however many
 * wait. Pure; runs in generators.
 */
export class RedialQueue {
  /** When each is due; Infinity for those who do not wait. */
  private readonly atMs: Float64Array;
  private readonly lists = new Map<number, number[]>();
  /** Nobody is due in an earlier millisecond. */
  nextMs = Number.POSITIVE_INFINITY;
  waiting = 0;

  constructor(connections: number) {
    this.atMs = new Float64Array(connections).fill(Number.POSITIVE_INFINITY);
  }

  set(number: number, atMs: number): void {
    if (this.atMs[number] === Number.POSITIVE_INFINITY) this.waiting++;
    // Whole ones, so that what is left in an old list is known by its time.
    const ms = Math.ceil(atMs);
    this.atMs[number] = ms;
    const list = this.lists.get(ms);
    if (list) list.push(number);
    else this.lists.set(ms, [number]);
    this.nextMs = Math.min(this.nextMs, ms);
  }

  /** Hands out at most `most` that are due, and forgets them. */
  take(nowMs: number, max: number, each: (number: number) => void): void {
    const taken: number[] = [];
    while (this.waiting > 0 && this.nextMs <= nowMs && taken.length < max) {
      const list = this.lists.get(this.nextMs);
      const number = list?.pop();
      if (number === undefined) this.lists.delete(this.nextMs++);
      else if (this.atMs[number] === this.nextMs) {
        this.atMs[number] = Number.POSITIVE_INFINITY;
        this.waiting--;
        taken.push(number);
      }
    }
    if (this.waiting === 0) this.forget();
    // Last, because whoever fails at once is set anew.
    taken.forEach(each);
  }

  clear(): void {
    this.atMs.fill(Number.POSITIVE_INFINITY);
    this.waiting = 0;
    this.forget();
  }

  private forget(): void {
    this.lists.clear();
    this.nextMs = Number.POSITIVE_INFINITY;
  }
}
