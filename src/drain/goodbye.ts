/**
 * How a worker drains its clients: it sends each a goodbye with a window and closes the connection, in jittered slices, no
 * faster than the gateway can take the clients back and no later than a given time. The closes alone spread clients that
 * reconnect at once; clients that follow the goodbye also wait a random time in the window. Runs in workers.
 */
import type { CloseReason } from "../metrics/reasons.js";
import { goodbyeEvent } from "../protocol/messages.js";

/** Why healthy connections are closed: the gateway stops, or their worker is replaced. */
export type LeaveReason = Extract<CloseReason, "drain" | "restart">;

export interface DrainOptions {
  readonly reason: LeaveReason;
  /** Workers that drain at the same time and share the rate. */
  readonly among: number;
  /** Connections a second that the gateway can take back. */
  readonly perSecond: number;
  /** Milliseconds within which the last goodbye must be sent; where the rate does not allow that, the rate is exceeded. */
  readonly withinMs: number;
}

/** The sessions of a worker, as a drain needs them. */
export interface DrainTarget {
  readonly size: number;
  /** Sends the message to at most `max` sockets and closes them. */
  drain(max: number, message: Buffer, reason: LeaveReason): void;
}

/** Maximum number of closes in one turn of the loop, so that handshakes and pongs are still answered in between. */
const MAX_PER_TURN = 256;
const GAP_MS = 50;
const MIN_WINDOW_MS = 1000;

/** The window in which `connections` clients that were closed together are to reconnect; milliseconds. */
export const windowMsOf = (connections: number, perSecond: number): number =>
  Math.max(MIN_WINDOW_MS, Math.ceil((connections / perSecond) * 1000));

/** Resolves with the window that the goodbyes named, in milliseconds, when all sockets are closed. */
export async function drainClients(target: DrainTarget, drain: DrainOptions): Promise<number> {
  const { reason, among, perSecond, withinMs } = drain;
  const all = target.size * among;
  const windowMs = windowMsOf(all, perSecond);
  const message = goodbyeEvent(reason, windowMs);
  const endMs = performance.now() + Math.min((all / perSecond) * 1000, withinMs);
  while (target.size > 0) {
    const leftMs = endMs - performance.now();
    const gapMs = GAP_MS * (0.5 + Math.random());
    const due = leftMs <= gapMs ? target.size : Math.ceil((target.size * gapMs) / leftMs);
    for (let left = due; left > 0; left -= MAX_PER_TURN) {
      target.drain(Math.min(left, MAX_PER_TURN), message, reason);
      await new Promise(setImmediate);
    }
    if (target.size > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
  }
  return windowMs;
}

/** Share of --stop-seconds for goodbyes; the rest is for the ends of connections and processes. */
export const GOODBYE_SHARE = 0.8;
export const goodbyesWithinMs = (stopSeconds: number): number => stopSeconds * 1000 * GOODBYE_SHARE;
