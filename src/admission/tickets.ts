/**
 * Tickets and slots for storms. A ticket is a signed start time: any worker accepts the ticket that another worker issued,
 * because all share one key, made by the supervisor at start. A ticket is not bound to one client and may be used more than
 * once; only its window bounds its use. Form: start (ms, base 36) "." signature (base64url). Pure; runs in workers.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** A ticket is valid this long after its start. */
export const TICKET_LIFE_MS = 15_000;
/** Timers of clients may fire a little early; the gateway's clock is the only one that counts. */
const EARLY_MS = 250;
const SIGNATURE_BYTES = 16;
const FORM = /^([0-9a-z]{1,10})\.([A-Za-z0-9_-]{22})$/;

export type TicketVerdict = "valid" | "early" | "expired" | "forged";

export class Tickets {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  issue(startMs: number): string {
    const start = Math.floor(startMs).toString(36);
    return `${start}.${this.#sign(start).toString("base64url")}`;
  }

  check(ticket: string, nowMs: number): TicketVerdict {
    const [, start, signature] = FORM.exec(ticket) ?? [];
    if (start === undefined || signature === undefined) return "forged";
    if (!timingSafeEqual(this.#sign(start), Buffer.from(signature, "base64url"))) return "forged";
    const startMs = Number.parseInt(start, 36);
    if (nowMs < startMs - EARLY_MS) return "early";
    return nowMs <= startMs + TICKET_LIFE_MS ? "valid" : "expired";
  }

  #sign(start: string): Buffer {
    return createHmac("sha256", this.#key).update(start).digest().subarray(0, SIGNATURE_BYTES);
  }
}

/** Beyond it slots are not queued: start times are then random within it. */
const HORIZON_MS = 60_000;

/** Start times, spaced so that clients connect at the worker's share of the budget. */
export class Slots {
  #nextMs = 0;

  /** The start of the next slot, on the clock of `nowMs`. `share` is slots a second; `random` is in [0, 1). */
  take(nowMs: number, share: number, random: number): number {
    const start = Math.max(nowMs, this.#nextMs);
    if (start - nowMs >= HORIZON_MS) return Math.floor(nowMs + random * HORIZON_MS);
    this.#nextMs = start + 1000 / share;
    return Math.floor(start);
  }
}
