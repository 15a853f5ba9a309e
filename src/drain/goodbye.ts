/**
 * How a worker sends its clients away: goodbye with a window and close, in jittered slices, no faster than the gateway
 * can take them back and no later than it was told. Those who come back at once, whatever they are told, are then spread
 * by the closes; those who obey wait a random time in the window besides.
 */
import type { CloseReason } from "../metrics/catalog.js";
import { goodbye } from "../protocol/messages.js";

/** Why sockets are closed though nobody did anything wrong: the gateway stops, or their worker is replaced. */
export type LeaveReason = Extract<CloseReason, "drain" | "restart">;

export interface DrainOptions {
  readonly reason: LeaveReason;
  /** Workers that leave at the same moment and share the pace. */
  readonly among: number;
  /** Connections a second that the gateway can take back. */
  readonly perSecond: number;
  /** Milliseconds in which the last must have been told; what does not fit is told faster. */
  readonly withinMs: number;
}

/** The sessions, as a farewell needs them. */
export interface DrainTarget {
  readonly size: number;
  /** Says the message to `most` of them and closes them. */
  drain(max: number, message: Buffer, reason: LeaveReason): void;
}

/** At most so many in one turn of the loop, so that handshakes and pongs are still answered in between. */
const SLICE = 256;
const GAP_MS = 50;
const MIN_WINDOW_MS = 1000;

/** The window that clients get to come back in, for `connections` that come back together; milliseconds. */
export const windowMsOf = (connections: number, perSecond: number): number =>
  Math.max(MIN_WINDOW_MS, Math.ceil((connections / perSecond) * 1000));

/** Resolves with the window that was told, when everybody has been. */
export async function drainClients(leavers: DrainTarget, drain: DrainOptions): Promise<number> {
  const { reason, among, perSecond, withinMs } = drain;
  const all = leavers.size * among;
  const windowMs = windowMsOf(all, perSecond);
  const message = goodbye(reason, windowMs);
  const endMs = performance.now() + Math.min((all / perSecond) * 1000, withinMs);
  while (leavers.size > 0) {
    const leftMs = endMs - performance.now();
    const gapMs = GAP_MS * (0.5 + Math.random());
    const due = leftMs <= gapMs ? leavers.size : Math.ceil((leavers.size * gapMs) / leftMs);
    for (let left = due; left > 0; left -= SLICE) {
      leavers.drain(Math.min(left, SLICE), message, reason);
      await new Promise(setImmediate);
    }
    if (leavers.size > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
  }
  return windowMs;
}

export const TELL_SHARE = 0.8;
export const tellWithinMs = (stopSeconds: number): number => stopSeconds * 1000 * TELL_SHARE;
