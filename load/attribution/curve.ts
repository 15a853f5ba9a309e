/**
 * The curve of the ramp, open connections over time: thinned out to a bounded number of points, with the present rate, and
 * where it goes flat. Runs in the coordinator. Flat means: for FLAT_SECONDS the curve grew by less than a tenth of its mean
 * growth until then, so that a ramp with a low --rate does not count as flat.
 */

const MAX_POINTS = 200;
/** The present rate is that of the last second. */
const RATE_OVER_SECONDS = 1;
const FLAT_SECONDS = 3;
const FLAT_SHARE = 0.1;
/** The plateau begins where the curve reached this share of its height. */
const REACHED = 0.99;

/** [seconds since the ramp began, open connections]. */
export type Point = readonly [number, number];

/** Where the curve went flat. */
export interface Flat {
  readonly connections: number;
  readonly atSeconds: number;
}

export class Curve {
  readonly #series = new Series(MAX_POINTS);
  #startedMs = performance.now();
  /** All points of the last seconds, while `points` is thinned out. */
  #recent: Point[] = [[0, 0]];
  perSecond = 0;

  begin(): void {
    this.#startedMs = performance.now();
  }

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  get points(): readonly Point[] {
    return this.#series.points;
  }

  add(open: number): void {
    const now = this.seconds;
    this.#series.add(Number(now.toFixed(2)), open);
    this.#recent.push([now, open]);
    // One point older than the window stays, so that the points always span a whole window.
    const old = this.#recent.findLastIndex(([seconds]) => now - seconds >= FLAT_SECONDS);
    this.#recent = this.#recent.slice(Math.max(0, old));
    const before = this.#recent.findLast(([seconds]) => now - seconds >= RATE_OVER_SECONDS);
    if (before) this.perSecond = (open - before[1]) / (now - before[0]);
  }

  /** True while it has been flat for some seconds. */
  get flat(): boolean {
    const from = this.#recent[0];
    const to = this.#recent.at(-1);
    return from !== undefined && to !== undefined && isFlat(from, to);
  }
}

function isFlat([fromSeconds, fromOpen]: Point, [toSeconds, toOpen]: Point): boolean {
  const took = toSeconds - fromSeconds;
  const mean = toSeconds > 0 ? toOpen / toSeconds : 0;
  return took >= FLAT_SECONDS && toOpen - fromOpen <= FLAT_SHARE * mean * took;
}

/** Where a curve that fell short of its target stayed; of a curve that reached it, the longest pause, or null. */
export function findFlat(points: readonly Point[], target: number): Flat | null {
  const max = Math.max(0, ...points.map(([, open]) => open));
  if (max < target) {
    const reached = points.find(([, open]) => open >= max * REACHED);
    return { connections: max, atSeconds: reached?.[0] ?? 0 };
  }
  let longest: { from: Point; seconds: number } | undefined;
  points.forEach((from, i) => {
    const to = points.slice(i + 1).findLast((point) => isFlat(from, point));
    if (to && to[0] - from[0] > (longest?.seconds ?? 0)) longest = { from, seconds: to[0] - from[0] };
  });
  return longest ? { connections: longest.from[1], atSeconds: longest.from[0] } : null;
}

/** Connections per second until the curve passed `connections`, and from there to REACHED of its top. */
export function ratesAround(points: readonly Point[], connections: number): { before: number; after: number } {
  const max = Math.max(0, ...points.map(([, open]) => open));
  const passed = points.find(([, open]) => open >= connections);
  const top = points.find(([, open]) => open >= max * REACHED);
  const rate = (open: number, seconds: number): number => (seconds > 0 ? open / seconds : Number.NaN);
  if (!passed || !top) return { before: Number.NaN, after: Number.NaN };
  return { before: rate(passed[1], passed[0]), after: rate(top[1] - passed[1], top[0] - passed[0]) };
}

/** Keeps a series short: when it is full, every second point is removed and the distance between points doubles. */
export class Series {
  readonly #max: number;
  readonly points: [number, number][] = [];
  #every = 1;
  #seen = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(x: number, y: number): void {
    if (this.#seen++ % this.#every !== 0) return;
    this.points.push([x, y]);
    if (this.points.length < this.#max) return;
    for (let i = 1; i < this.points.length; i++) this.points.splice(i, 1);
    this.#every *= 2;
  }
}
