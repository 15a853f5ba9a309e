/** What supervisor and children say to each other over the control channel (node's IPC; JSON). Data never goes here. */
import type { Cap } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import type { LogMessage } from "../log.js";

export interface StartHub {
  readonly type: "startHub";
  readonly config: ServeConfig;
  readonly path: string;
  readonly workers: number;
  /** Connections that all workers may hold together, and the limit that decides it. */
  readonly cap: Cap;
  readonly restarts: number;
  /** The hub before this one died: its memory is to be gathered from the workers. */
  readonly rebuild: boolean;
  /** No worker died whose publications may be unknown to the others: what they hold is all that anybody has seen. */
  readonly allLived: boolean;
}
export interface StartWorker {
  readonly type: "startWorker";
  readonly config: ServeConfig;
  readonly path: string;
  readonly index: number;
  readonly port: number;
  readonly cap: number;
  readonly nofile: number;
  /** A client that is sent away should come back within this time, in milliseconds. */
  readonly windowMs: number;
}

/** How things stand in the hub's eyes, once a second. */
export interface Present {
  readonly connections: number;
  /** Workers linked to the hub, and those that listen. */
  readonly workers: number;
  readonly workersListening: number;
  /** Handshakes refused because every worker was at its cap, since the start. */
  readonly refusedFull: number;
  /** The worst event loop's delay in its last second. */
  readonly lagSeconds: number;
  readonly cap: Cap;
}

/** To the hub: limit → connections at which it bites, and limit → looks that found it at work. */
export interface MachineNews {
  readonly type: "machine";
  readonly ceilings: Readonly<Record<string, number>>;
  readonly limitEvents: Readonly<Record<string, number>>;
}

export type ToChild =
  | StartHub
  | StartWorker
  | MachineNews
  | { readonly type: "stop" }
  /** To the hub: the gateway is stopping; not ready any more. */
  | { readonly type: "notReady" }
  /** To the hub: a worker process ended by itself. */
  | { readonly type: "workerDied"; readonly worker: number; readonly pid: number; readonly restarts: number }
  /** To workers: all of them are (not) at their cap. */
  | { readonly type: "overflow"; readonly on: boolean };

export type FromChild =
  | LogMessage
  | { readonly type: "ready" }
  | { readonly type: "full"; readonly full: boolean }
  | ({ readonly type: "present" } & Present)
  /** From the hub: after so many deaths of workers, the others have received everything that those had. */
  | { readonly type: "settled"; readonly deaths: number }
  /** It cannot work here at all: a plain sentence for the user. */
  | { readonly type: "fatal"; readonly kind: "config" | "refused"; readonly detail: string };

export function tell(message: FromChild): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
