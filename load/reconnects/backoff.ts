/**
 * When a client comes back. `sdk` mirrors what the SDK does, written anew so that a fault of it is not shared by its judge:
 * a goodbye's window first, then Retry-After, else a random time up to a bound that doubles with each attempt, and begins with
 * what the gateway told early where the connection ended without a word; close codes say whether at all. `naive` is the fixed pause of a simple client, which obeys nothing. Pure; runs in generators.
 */
import type { ReturnPolicy } from "./steps.js";

/** The SDK's defaults: greatest first pause, greatest pause, and how long a connection must last to count as a success. */
export const FIRST_PAUSE_MS = 1000;
const GREATEST_PAUSE_MS = 30_000;
export const STABLE_MS = 10_000;
/** RFC 6455 §7.4.1: what no second attempt makes better. */
const FINAL_CODES: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009]);

export interface Absence {
  /** Attempts since the last connection that lasted. */
  readonly attempts: number;
  /** How the connection ended, or why the attempt failed: a close code, an error's name, "http_503". */
  readonly reason: string;
  /** The time drawn from a goodbye's window; NaN without one. */
  readonly orderedMs: number;
  /** The window that `retry` told for an end without a word; 0 without one. */
  readonly toldMs: number;
  /** What a refusal asked for; 0 for nothing. */
  readonly retryAfterMs: number;
}

/** Milliseconds until the next attempt; null for never. */
export function pauseMs(policy: ReturnPolicy, naiveMs: number, absence: Absence, random = Math.random): number | null {
  if (policy === "none") return null;
  if (policy === "naive") return naiveMs;
  const { attempts, orderedMs, retryAfterMs } = absence;
  const advice = adviceOf(absence.reason);
  if (advice === "never") return null;
  if (!Number.isNaN(orderedMs)) return orderedMs;
  if (advice === "now" && attempts === 0) return 0;
  const firstMs = Math.max(FIRST_PAUSE_MS, absence.toldMs);
  return retryAfterMs + random() * Math.min(GREATEST_PAUSE_MS, firstMs * 2 ** attempts);
}

function adviceOf(reason: string): "now" | "window" | "never" {
  const code = /^\d{4}$/.test(reason) ? Number(reason) : 0;
  if (code >= 4100 && code < 4200) return "now";
  return (code >= 4300 && code < 4400) || FINAL_CODES.has(code) ? "never" : "window";
}

/** The longest time before which nobody need have tried to come back, when nobody gave a window. */
export const firstPauseMs = (policy: ReturnPolicy, naiveMs: number, toldMs: number): number =>
  policy === "naive" ? naiveMs : Math.max(FIRST_PAUSE_MS, toldMs);
