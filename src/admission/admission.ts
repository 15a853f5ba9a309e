/**
 * Decides in one worker which handshakes are admitted: the gate for storms, tickets that pass it, slots for clients that
 * ask for the address before they connect, the limit per address, and what a refusal says. socket/ asks; nothing here
 * knows sockets. Keeps nothing per connection, except the count of its address where --connections-per-address is given.
 */
import type { ServeConfig } from "../config/options.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { addressShare, ClientAddresses } from "./addresses.js";
import { retryAfterSeconds, spreadSeconds } from "./budget.js";
import type { CapReason } from "./ceiling.js";
import { Gate } from "./gate.js";
import { type Refusal, refuseDraining, refuseFull, refuseStorm } from "./refusal.js";
import { Slots, Tickets } from "./tickets.js";

export interface AdmissionOptions {
  readonly config: Pick<ServeConfig, "acceptRate" | "connectionsPerAddress" | "handshakeWaitSeconds">;
  readonly workers: number;
  /** Handshakes a second of the whole gateway. */
  readonly rate: number;
  /** Milliseconds within which all clients of this gateway can reconnect. */
  readonly windowMs: number;
  readonly capReason: CapReason;
  readonly ticketKey: Buffer;
}

/** When a client that asked for the address may connect, and the ticket that it presents then. */
export interface ConnectSlot {
  readonly afterMs: number;
  readonly ticket: string;
}

export class Admission {
  /** Undefined where addresses are not limited. */
  readonly addresses: ClientAddresses | undefined;
  readonly #gate: Gate;
  readonly #slots = new Slots();
  readonly #tickets: Tickets;
  readonly #workers: number;
  readonly #capReason: CapReason;
  windowMs: number;

  constructor({ config, workers, rate, windowMs, capReason, ticketKey }: AdmissionOptions) {
    this.#workers = workers;
    this.#capReason = capReason;
    this.#gate = new Gate({
      share: rate / workers,
      waitSeconds: config.handshakeWaitSeconds,
      isFixed: config.acceptRate > 0,
    });
    this.#tickets = new Tickets(ticketKey);
    this.windowMs = windowMs;
    const limit = config.connectionsPerAddress;
    this.addresses = limit > 0 ? new ClientAddresses(addressShare(limit, workers), workers > 1) : undefined;
  }

  /** The supervisor's new budget. */
  setBudget(rate: number, windowMs: number): void {
    this.#gate.setShare(rate / this.#workers);
    this.windowMs = windowMs;
  }

  /** Once a second. `busyShare` is the share of that second in which the event loop did not sleep. */
  tick(busyShare: number, nowMs: number): void {
    this.#gate.tick(counters[SLOT.handshakes]!, busyShare, nowMs);
    counters[SLOT.waiting] = this.#gate.waiting(counters[SLOT.handshakes]!);
    counters[SLOT.storms] = this.#gate.isStorm(nowMs) ? 1 : 0;
  }

  /** The refusal of every handshake while the worker drains or is full. */
  refuseAll(draining: boolean, full: boolean): Refusal | undefined {
    if (draining) return refuseDraining(spreadSeconds(this.windowMs, Math.random()));
    return full ? refuseFull(this.#capReason, Math.random()) : undefined;
  }

  /** Whether a handshake needs a ticket now: the hot path, a comparison of numbers. */
  get needsTicket(): boolean {
    return this.#gate.isOverLimit(counters[SLOT.handshakes]!);
  }

  /** Where a ticket is needed: undefined admits the client that presents this one. */
  checkTicket(ticket: string | undefined, nowMs: number): Refusal | undefined {
    if (ticket !== undefined && ticket !== "") {
      const verdict = this.#tickets.check(ticket, nowMs);
      counters[SLOT[`ticket_${verdict}`]]! += 1;
      if (verdict === "valid" && !this.#gate.isOverTicketLimit(counters[SLOT.handshakes]!)) return undefined;
    }
    this.#gate.refused(nowMs);
    const expected = this.#gate.expected(counters[SLOT.handshakes]!);
    return refuseStorm(retryAfterSeconds(expected, this.#gate.share, Math.random()));
  }

  admitted(): void {
    this.#gate.admitted();
  }

  /** For a client that asks for the address; undefined outside of storms. */
  slot(nowMs: number): ConnectSlot | undefined {
    if (!this.#gate.isStorm(nowMs)) return undefined;
    const startMs = this.#slots.take(nowMs, this.#gate.share, Math.random());
    counters[SLOT.ticket_given]! += 1;
    return { afterMs: Math.max(0, startMs - nowMs), ticket: this.#tickets.issue(startMs) };
  }
}
