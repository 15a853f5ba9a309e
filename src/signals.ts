/**
 * How often somebody has asked for an end, which is not how many signals came: timeout(1) sends one to the process and
 * one to its group, a closed terminal may hang up twice, and both mean it once. Used by `serve` and by `load`.
 */

/** Two signals nearer than this are one wish; a person who presses Ctrl-C again has looked first. */
const SAME_WISH_MS = 500;

export class Wishes {
  #sinceMs: number | undefined;

  /** What a signal that comes now means: the first wish, the same one once more, or another one. */
  heard(nowMs = performance.now()): "first" | "same" | "another" {
    if (this.#sinceMs !== undefined && nowMs - this.#sinceMs < SAME_WISH_MS) return "same";
    const wish = this.#sinceMs === undefined ? "first" : "another";
    this.#sinceMs = nowMs;
    return wish;
  }
}
