/**
 * Tickets: a start time, signed, so that any worker knows a client that was told by any other when to come. All workers
 * share one key, made by the supervisor at start. A ticket is no secret of one client and may be used more than once in its
 * window; what bounds its use is that window. Form: start (ms, base 36) "." signature (base64url).
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** After its start a ticket is good for so long. */
export const TICKET_LIFE_MS = 15_000;
/** Clients' timers and clocks of one host differ by a little; ours is the only clock. */
const EARLY_MS = 250;
const SIGNATURE_BYTES = 16;
const FORM = /^([0-9a-z]{1,10})\.([A-Za-z0-9_-]{22})$/;

export type TicketVerdict = "valid" | "early" | "expired" | "forged";

export class Tickets {
  constructor(private readonly key: Buffer) {}

  give(startMs: number): string {
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
    return createHmac("sha256", this.key).update(start).digest().subarray(0, SIGNATURE_BYTES);
  }
}

const HORIZON_MS = 60_000;

export class Slots {
  #nextMs = 0;

  /** The start of a slot, in milliseconds since the epoch. `random` is in [0, 1). */
  take(nowMs: number, share: number, random: number): number {
    const start = Math.max(nowMs, this.#nextMs);
    if (start - nowMs >= HORIZON_MS) return Math.floor(nowMs + random * HORIZON_MS);
    this.#nextMs = start + 1000 / share;
    return Math.floor(start);
  }
}
