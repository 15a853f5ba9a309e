/**
 * The pace of one generator's connecting: how many to begin now, within the rate and the number in flight, and which
 * failed attempts to try again. Pure but for the clock it is given. Runs in generators.
 * A failed attempt is counted, then retried up to three times after a growing pause, unless the answer was a verdict.
 */

/** Attempts begun in one turn, before answers get their turn. */
const BATCH = 128;
const MAX_RETRIES = 3;
const FIRST_PAUSE_MS = 500;

export class Ramp {
  private toBegin: number;
  private inFlightLimit = 0;
  private perMs = 0;
  private begunAtMs = 0;
  private begunSince = 0;
  /** Attempts waiting for their pause to end; the pauses of one attempt number are equal, so three queues are in order. */
  private readonly paused: number[][] = Array.from({ length: MAX_RETRIES + 1 }, () => []);
  inFlight = 0;
  retries = 0;
  abandoned = 0;
  private running = false;

  constructor(
    connections: number,
    private readonly start: (attempt: number) => void,
  ) {
    this.toBegin = connections;
  }

  begin(ratePerSecond: number, inFlight: number, nowMs: number): void {
    this.running = true;
    this.inFlightLimit = inFlight;
    this.perMs = ratePerSecond / 1000;
    this.begunAtMs = nowMs;
  }

  /** Begins no more. What is in flight must be ended by the caller. */
  halt(): void {
    this.running = false;
    this.toBegin = 0;
    for (const queue of this.paused) queue.length = 0;
  }

  /** Not open and not given up. */
  get pending(): number {
    return this.toBegin + this.inFlight + this.paused.reduce((sum, queue) => sum + queue.length, 0);
  }

  /** Nothing is left to begin or to wait for. */
  get settled(): boolean {
    return this.inFlight === 0 && this.pending === 0;
  }

  /** Begins what is due. */
  turn(nowMs: number): void {
    if (!this.running) return;
    let room = Math.min(BATCH, this.inFlightLimit - this.inFlight);
    if (this.perMs > 0) {
      room = Math.min(room, Math.floor((nowMs - this.begunAtMs) * this.perMs) - this.begunSince);
    }
    for (; room > 0; room--) {
      const attempt = this.nextAttempt(nowMs);
      if (attempt < 0) return;
      this.inFlight++;
      this.begunSince++;
      this.start(attempt);
    }
  }

  /** Begun and not settled. */
  get active(): boolean {
    return this.running && !this.settled;
  }

  /** True while answers are awaited or new attempts are due within milliseconds. */
  get expecting(): boolean {
    return this.running && (this.inFlight > 0 || this.toBegin > 0);
  }

  opened(): void {
    this.inFlight--;
  }

  failed(attempt: number, reason: string, nowMs: number): void {
    this.inFlight--;
    if (attempt >= MAX_RETRIES || !this.running || !worthRetrying(reason)) {
      this.abandoned++;
      return;
    }
    this.paused[attempt + 1]!.push(nowMs + FIRST_PAUSE_MS * 2 ** attempt);
  }

  private nextAttempt(nowMs: number): number {
    for (let attempt = 1; attempt <= MAX_RETRIES; attempt++) {
      const queue = this.paused[attempt]!;
      if (queue.length > 0 && queue[0]! <= nowMs) {
        queue.shift();
        this.retries++;
        return attempt;
      }
    }
    if (this.toBegin === 0) return -1;
    this.toBegin--;
    return 0;
  }
}

/** A wrong answer stays wrong; a full gateway, a reset or a silence may pass. */
export function worthRetrying(reason: string): boolean {
  if (reason.startsWith("bad_")) return false;
  return !reason.startsWith("http_4") || reason === "http_429";
}
