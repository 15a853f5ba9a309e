/**
 * How fast one generator connects: how many attempts to begin now, within the rate and the limit in flight, and which
 * failed ones to retry. Pure; takes the time as an argument. Runs in generators.
 * A failed attempt is counted, then retried up to three times after a growing pause, unless the answer was final.
 */

/** Attempts begun in one turn of the poller, before it reads answers. */
const BATCH = 128;
const MAX_RETRIES = 3;
const FIRST_PAUSE_MS = 500;

export class Ramp {
  readonly #start: (attempt: number) => void;
  #toBegin: number;
  #inFlightLimit = 0;
  #perMs = 0;
  #begunAtMs = 0;
  #begunSince = 0;
  /** Times at which paused attempts are due; all pauses of one attempt number are equal, so each of the queues is in order. */
  readonly #paused: number[][] = Array.from({ length: MAX_RETRIES + 1 }, () => []);
  inFlight = 0;
  retries = 0;
  abandoned = 0;
  #running = false;

  constructor(connections: number, start: (attempt: number) => void) {
    this.#start = start;
    this.#toBegin = connections;
  }

  begin(ratePerSecond: number, inFlight: number, nowMs: number): void {
    this.#running = true;
    this.#inFlightLimit = inFlight;
    this.#perMs = ratePerSecond / 1000;
    this.#begunAtMs = nowMs;
  }

  /** Begins no more attempts. The caller must end those in flight. */
  halt(): void {
    this.#running = false;
    this.#toBegin = 0;
    for (const queue of this.#paused) queue.length = 0;
  }

  /** Not open and not abandoned. */
  get pending(): number {
    return this.#toBegin + this.inFlight + this.#paused.reduce((sum, queue) => sum + queue.length, 0);
  }

  /** True when nothing is left to begin or to wait for. */
  get settled(): boolean {
    return this.inFlight === 0 && this.pending === 0;
  }

  /** Begins the attempts that are due. */
  turn(nowMs: number): void {
    if (!this.#running) return;
    let mayBegin = Math.min(BATCH, this.#inFlightLimit - this.inFlight);
    if (this.#perMs > 0) {
      mayBegin = Math.min(mayBegin, Math.floor((nowMs - this.#begunAtMs) * this.#perMs) - this.#begunSince);
    }
    for (; mayBegin > 0; mayBegin--) {
      const attempt = this.#nextAttempt(nowMs);
      if (attempt < 0) return;
      this.inFlight++;
      this.#begunSince++;
      this.#start(attempt);
    }
  }

  /** Begun and not settled. */
  get active(): boolean {
    return this.#running && !this.settled;
  }

  /** True while answers are awaited or new attempts are due within milliseconds. */
  get expecting(): boolean {
    return this.#running && (this.inFlight > 0 || this.#toBegin > 0);
  }

  opened(): void {
    this.inFlight--;
  }

  failed(attempt: number, reason: string, nowMs: number): void {
    this.inFlight--;
    if (attempt >= MAX_RETRIES || !this.#running || !worthRetrying(reason)) {
      this.abandoned++;
      return;
    }
    this.#paused[attempt + 1]!.push(nowMs + FIRST_PAUSE_MS * 2 ** attempt);
  }

  #nextAttempt(nowMs: number): number {
    for (let attempt = 1; attempt <= MAX_RETRIES; attempt++) {
      const queue = this.#paused[attempt]!;
      if (queue.length > 0 && queue[0]! <= nowMs) {
        queue.shift();
        this.retries++;
        return attempt;
      }
    }
    if (this.#toBegin === 0) return -1;
    this.#toBegin--;
    return 0;
  }
}

/** A wrong answer is final; a full gateway, a reset or a timeout may pass. */
export function worthRetrying(reason: string): boolean {
  if (reason.startsWith("bad_")) return false;
  return !reason.startsWith("http_4") || reason === "http_429";
}
