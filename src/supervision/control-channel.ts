/** What supervisor and children say to each other over the control channel (node's IPC; JSON). Data never goes here. */

import type { CapReason } from "../admission/ceiling.js";
import type { Cap } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import type { DrainOptions } from "../drain/goodbye.js";
import type { WalState } from "../hub/wal/wal.js";
import type { LogMessage } from "../log.js";
import type { OpenLogFile } from "./log-files.js";

/** Worker processes that ended since the gateway started: deaths, and replacements by a rolling restart. */
export interface Ended {
  readonly restarts: number;
  readonly rolled: number;
}

/** The last rolling restart, or the one that is under way; also the answer of `/restart-workers`. */
export interface RollState {
  readonly state: "none" | "rolling" | "done" | "failed";
  /** Workers replaced, of those that it began with. */
  readonly replaced: number;
  readonly of: number;
  /** What happens now, or why it failed, in plain words. */
  readonly detail: string;
}

export interface StartHub {
  readonly type: "startHub";
  readonly config: ServeConfig;
  readonly path: string;
  /** What workers say to the hub before anything else. */
  readonly token: string;
  /** Workers that the configuration asks for. */
  readonly workers: number;
  /** Connections that all workers may hold together, and the limit that decides it. */
  readonly cap: Cap;
  /** Worker processes that there are: one more while one is being replaced. */
  readonly pool: number;
  readonly ended: Ended;
  readonly roll: RollState;
  /** The hub before this one died: its workers dial in again, and ask for everything they follow. */
  readonly isRestart: boolean;
  /** The files of the log, which are open in this process under these numbers. */
  readonly logFiles: readonly OpenLogFile[];
  /** Everything that a hub gave out stands in them; false where the log was nowhere for a while. */
  readonly isLogWhole: boolean;
  /** Connections at which one worker stops listening. */
  readonly workerCap: number;
  /** The budget as it was last known, or the assumed one (admission/budget.ts): handshakes a second. */
  readonly rate: number;
}
export interface StartWorker {
  readonly type: "startWorker";
  readonly config: ServeConfig;
  readonly path: string;
  readonly token: string;
  readonly index: number;
  readonly port: number;
  readonly workers: number;
  readonly cap: number;
  /** Connections beyond the cap that it may take to refuse them. */
  readonly overflow: number;
  readonly capReason: CapReason;
  readonly nofile: number;
  readonly rate: number;
  /** Milliseconds in which all clients of the gateway can come back; grows and falls with them. */
  readonly windowMs: number;
  /** The key of tickets, hexadecimal; all workers have the same. */
  readonly ticketKey: string;
  /** How it sends its clients away when nobody is left to say so. */
  readonly drain: DrainOptions;
}

/** How things stand: what a look at the machine is judged by. */
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

/** To the hub: workers from which nothing is heard, and processes that were ended for it since the start. */
export interface SilenceNews {
  readonly type: "silence";
  readonly silent: readonly { readonly worker: number; readonly seconds: number }[];
  readonly ended: { readonly hub: number; readonly worker: number };
}

export type ToChild =
  | StartHub
  | StartWorker
  | MachineNews
  | SilenceNews
  /** Orderly: a worker sends its clients away first. */
  | { readonly type: "stop"; readonly drain?: DrainOptions }
  /** To the hub: the gateway is stopping; not ready any more. */
  | { readonly type: "notReady" }
  /** To workers: the budget has changed; the window is that of a goodbye to everybody. */
  | { readonly type: "budget"; readonly rate: number; readonly windowMs: number }
  /** To the hub: so many worker processes are there now. */
  | { readonly type: "crew"; readonly size: number }
  /** To the hub: a worker process ended, by itself or replaced. */
  | { readonly type: "workerEnded"; readonly worker: number; readonly pid: number; readonly ended: Ended }
  /** To the hub: the supervisor knows where the log stands. */
  | { readonly type: "logStateHeard" }
  /** To the hub: how the rolling restart goes. */
  | { readonly type: "roll"; readonly roll: RollState }
  /** To a worker: no other one has room (or some has): it listens beyond its cap, or leaves the port when it is full. */
  | { readonly type: "overflow"; readonly on: boolean };

/** What the hub's counters say of all workers, told once a second. */
export interface Load extends Omit<Present, "cap"> {
  /** False once it has heard that the gateway stops: `/readyz` says so. */
  readonly ready: boolean;
  readonly handshakes: number;
  /** Workers linked that have told their numbers: after a death of the hub, the sums lack the others. */
  readonly counted: number;
  /** Worker processes that had ended, as far as this count knows. */
  readonly ended: number;
  /** Handshakes a second that the gateway sustains (admission/budget.ts). */
  readonly rate: number;
}

export type FromChild =
  | LogMessage
  | { readonly type: "ready" }
  /** Once a second: it lives (liveness.ts). */
  | { readonly type: "beat" }
  | { readonly type: "full"; readonly full: boolean }
  /** From the hub: where its log stands now; nothing leaves the hub before `logStateHeard`. */
  | { readonly type: "logState"; readonly state: WalState; readonly detail: string }
  /** From the hub that stops: what topics remember could not be saved in `--state-dir`. */
  | { readonly type: "notSaved"; readonly detail: string }
  | { readonly type: "load"; readonly load: Load }
  /** From the hub: somebody asks for a rolling restart. */
  | { readonly type: "restartWorkers" }
  /** From a worker: its clients have been told to come back within this window. */
  | { readonly type: "farewell"; readonly windowMs: number }
  /** It cannot work here at all: a plain sentence for the user. */
  | { readonly type: "fatal"; readonly kind: "config" | "refused"; readonly detail: string };

export function tell(message: FromChild): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

export const endedInAll = ({ restarts, rolled }: Ended): number => restarts + rolled;
