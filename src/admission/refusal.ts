/**
 * The refusal of a handshake: the row of errors.ts, the reason under which it is counted, and when the client may try again.
 * Pure; runs in workers. socket/ writes it as an HTTP answer.
 */
import { type ErrorName, GatewayError } from "../errors.js";
import type { RefuseReason } from "../metrics/reasons.js";
import type { CapReason } from "./ceiling.js";

export interface Refusal {
  readonly reason: RefuseReason;
  readonly error: GatewayError;
  readonly headers?: Readonly<Record<string, string>>;
}

const CAP_ERRORS: Readonly<Record<CapReason, ErrorName>> = {
  full: "full",
  total_limit: "totalLimit",
  memory: "memoryLimit",
};

/** The gateway is full: a connection is possible when another ends, and nobody can foresee when. */
const FULL_SECONDS = { min: 5, spread: 10 };

export function refuseFull(reason: CapReason, random: number): Refusal {
  const seconds = FULL_SECONDS.min + Math.floor(random * FULL_SECONDS.spread);
  return later(reason, CAP_ERRORS[reason], seconds);
}

export const refuseDraining = (seconds: number): Refusal => later("draining", "draining", seconds);
export const refuseStorm = (seconds: number): Refusal => later("storm", "storm", seconds);

export function refuseAddress(random: number): Refusal {
  const seconds = FULL_SECONDS.min + Math.floor(random * FULL_SECONDS.spread);
  return later("address_limit", "addressLimit", seconds);
}

/** Milliseconds until the refused client may try again. */
export const retryAfterMs = ({ headers }: Refusal): number => Number(headers?.["Retry-After"] ?? 0) * 1000;

function later(reason: RefuseReason, kind: ErrorName, seconds: number): Refusal {
  return { reason, error: new GatewayError(kind), headers: { "Retry-After": String(seconds) } };
}
