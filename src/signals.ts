/**
 * Counts requests to stop, which are fewer than the signals: timeout(1) sends one signal to the process and one to its
 * group, and a closed terminal may send SIGHUP twice. Used by `serve` and by `load`.
 */

/** Signals that are nearer to each other than this are one request; a person takes longer to press Ctrl-C again. */
const SAME_REQUEST_MS = 500;

export class SignalRequests {
  #sinceMs: number | undefined;

  /** What a signal that comes now means: the first request, the same one again, or another one. */
  received(nowMs = performance.now()): "first" | "same" | "another" {
    if (this.#sinceMs !== undefined && nowMs - this.#sinceMs < SAME_REQUEST_MS) return "same";
    const request = this.#sinceMs === undefined ? "first" : "another";
    this.#sinceMs = nowMs;
    return request;
  }
}
