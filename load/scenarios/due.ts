/**
 * Who is due when: one time for each connection, 8 bytes, looked through only once the earliest has come. A full look at
 * 18,000 takes some 20 µs. Pure; runs in generators.
 */
export class Due {
  private readonly atMs: Float64Array;
  private earliestMs = Number.POSITIVE_INFINITY;
  waiting = 0;

  constructor(connections: number) {
    this.atMs = new Float64Array(connections).fill(Number.POSITIVE_INFINITY);
  }

  set(number: number, atMs: number): void {
    if (this.atMs[number] === Number.POSITIVE_INFINITY) this.waiting++;
    this.atMs[number] = atMs;
    if (atMs < this.earliestMs) this.earliestMs = atMs;
  }

  /** Hands out at most `most` that are due, and forgets them. */
  take(nowMs: number, most: number, each: (number: number) => void): void {
    if (nowMs < this.earliestMs || most <= 0) return;
    const taken: number[] = [];
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const [number, atMs] of this.atMs.entries()) {
      if (atMs <= nowMs && taken.length < most) taken.push(number);
      else if (atMs < earliestMs) earliestMs = atMs;
    }
    this.earliestMs = earliestMs;
    for (const number of taken) {
      this.atMs[number] = Number.POSITIVE_INFINITY;
      this.waiting--;
    }
    // Last, because whoever fails at once is set anew.
    taken.forEach(each);
  }

  clear(): void {
    this.atMs.fill(Number.POSITIVE_INFINITY);
    this.earliestMs = Number.POSITIVE_INFINITY;
    this.waiting = 0;
  }
}
