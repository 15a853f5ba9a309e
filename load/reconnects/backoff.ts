/**
 * When a client reconnects. `sdk` does what the SDK does, in code of its own, so that a fault of the SDK is not hidden by the
 * same fault here: a goodbye's window first, then Retry-After, else a random time up to a bound that doubles with each
 * attempt. That bound begins with the window of `retry` after a disconnect without a close frame. The close code decides
 * whether a client reconnects at all. `naive` is a simple client with a fixed pause. Pure; runs in generators.
 */
import type { ReconnectConfig, ReconnectPolicy } from "./steps.js";

/** The SDK's defaults: greatest first pause, greatest pause, and how long a connection must last to count as a success. */
export const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 30_000;
export const STABLE_MS = 10_000;
/** RFC 6455 §7.4.1: faults that a second attempt would only repeat. */
const FINAL_CODES: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009]);

export type PauseConfig = Pick<ReconnectConfig, "policy" | "naiveMs">;

export interface Absence {
  /** Attempts since the last connection that lasted. */
  readonly attempts: number;
  /** How the connection ended, or why the attempt failed: a close code, an error's name, "http_503". */
  readonly reason: string;
  /** The time drawn from a goodbye's window; NaN without one. */
  readonly goodbyeDelayMs: number;
  /** The window that `retry` gave for a disconnect without a close frame; 0 without one. */
  readonly retryWindowMs: number;
  /** Retry-After of a refused handshake; 0 without one. */
  readonly retryAfterMs: number;
}

/** Milliseconds until the next attempt; null for never. */
export function pauseMs(config: PauseConfig, absence: Absence, random = Math.random): number | null {
  const { policy, naiveMs } = config;
  if (policy === "none") return null;
  if (policy === "naive") return naiveMs;
  const { attempts, goodbyeDelayMs, retryAfterMs } = absence;
  const advice = adviceOf(absence.reason);
  if (advice === "never") return null;
  if (!Number.isNaN(goodbyeDelayMs)) return goodbyeDelayMs;
  if (advice === "now" && attempts === 0) return 0;
  const firstMs = Math.max(FIRST_PAUSE_MS, absence.retryWindowMs);
  return retryAfterMs + random() * Math.min(MAX_PAUSE_MS, firstMs * 2 ** attempts);
}

function adviceOf(reason: string): "now" | "window" | "never" {
  const code = /^\d{4}$/.test(reason) ? Number(reason) : 0;
  if (code >= 4100 && code < 4200) return "now";
  return (code >= 4300 && code < 4400) || FINAL_CODES.has(code) ? "never" : "window";
}

/** The latest time at which a client makes its first attempt, where the gateway gave no window to wait for. */
export const firstPauseMs = (policy: ReconnectPolicy, naiveMs: number, retryWindowMs: number): number =>
  policy === "naive" ? naiveMs : Math.max(FIRST_PAUSE_MS, retryWindowMs);
