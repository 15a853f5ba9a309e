/** What supervisor and children say to each other over the control channel (node's IPC; JSON). Data never goes here. */
import type { CapReason } from "../admission/ceiling.js";
import type { ServeConfig } from "../config/options.js";
import type { LogMessage } from "../log.js";

export interface StartHub {
  readonly type: "startHub";
  readonly config: ServeConfig;
  readonly path: string;
  readonly workers: number;
  readonly restarts: number;
  /** The hub before this one died: its memory is to be gathered from the workers. */
  readonly rebuild: boolean;
  /** No worker died whose publications may be unknown to the others: what they hold is all that anybody has seen. */
  readonly allLived: boolean;
  /** The budget as it was last known, or the assumed one (admission/budget.ts): handshakes a second. */
  readonly rate: number;
}
export interface StartWorker {
  readonly type: "startWorker";
  readonly config: ServeConfig;
  readonly path: string;
  readonly index: number;
  readonly port: number;
  readonly workers: number;
  readonly cap: number;
  readonly capReason: CapReason;
  readonly nofile: number;
  readonly rate: number;
  /** The key of tickets, hexadecimal; all workers have the same. */
  readonly ticketKey: string;
  /** A client that is sent away should come back within this time, in milliseconds. */
  readonly windowMs: number;
}

export type ToChild =
  | StartHub
  | StartWorker
  | { readonly type: "stop" }
  /** To the hub: the gateway is stopping; not ready any more. */
  | { readonly type: "notReady" }
  /** To the hub: a worker process ended by itself. */
  | { readonly type: "workerDied"; readonly worker: number; readonly pid: number; readonly restarts: number }
  /** To workers: the budget has changed; the window is that of a goodbye to everybody. */
  | { readonly type: "budget"; readonly rate: number; readonly windowMs: number }
  /** To workers: all of them are (not) at their cap. */
  | { readonly type: "overflow"; readonly on: boolean };

export type FromChild =
  | LogMessage
  | { readonly type: "ready" }
  | { readonly type: "full"; readonly full: boolean }
  /** From the hub: after so many deaths of workers, the others have received everything that those had. */
  | { readonly type: "settled"; readonly deaths: number }
  /** From the hub, once a second: handshakes a second that the gateway sustains, and its live connections. */
  | { readonly type: "measured"; readonly rate: number; readonly connections: number }
  /** It cannot work here at all: a plain sentence for the user. */
  | { readonly type: "fatal"; readonly kind: "config" | "refused"; readonly detail: string };

export function tell(message: FromChild): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
