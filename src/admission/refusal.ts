/** What a refused handshake is told: the row of errors.ts, the reason it is counted under, and when to try again. Pure. */
import { type ErrorName, GatewayError } from "../errors.js";
import type { RefuseReason } from "../metrics/catalog.js";
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

/** No place is free: one becomes free when somebody leaves, which nobody can foresee. */
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

/** Milliseconds until whoever was refused may try again. */
export const retryAfterMs = ({ headers }: Refusal): number => Number(headers?.["Retry-After"] ?? 0) * 1000;

function later(reason: RefuseReason, kind: ErrorName, seconds: number): Refusal {
  return { reason, error: new GatewayError(kind), headers: { "Retry-After": String(seconds) } };
}
