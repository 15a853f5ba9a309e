/** Messages between the supervisor and its children, over Node's IPC channel as JSON. Publications never go this way. */

import type { CapReason } from "../admission/ceiling.js";
import type { PlainKey } from "../admission/keys.js";
import type { AdminKey } from "../config/admin-keys.js";
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
  /** Proves a worker to the hub: the first thing that it sends. */
  readonly token: string;
  /** Workers that the configuration asks for. */
  readonly workers: number;
  /** Connections that all workers may hold together, and the limit that decides it. */
  readonly cap: Cap;
  /** Worker processes that there are: one more while one is being replaced. */
  readonly workerProcesses: number;
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
  /** The keys of the admin port, as digests; null where it needs none. */
  readonly adminKeys: readonly AdminKey[] | null;
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
  /** What tokens are verified with; empty where clients are not authenticated. */
  readonly authKeys: readonly PlainKey[];
  /** How it sends its clients away when the supervisor is gone. */
  readonly drain: DrainOptions;
}

/** The gateway's load, by which a sample of the machine is judged. */
export interface LoadSample {
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

/** To the hub: limit → connections at which it bites, and limit → samples that found it at work. */
export interface MachineNews {
  readonly type: "machine";
  readonly ceilings: Readonly<Record<string, number>>;
  readonly limitEvents: Readonly<Record<string, number>>;
}

/** To the hub: silent workers, and processes that were ended for being silent since the start. */
export interface SilenceNews {
  readonly type: "silence";
  readonly silent: readonly { readonly worker: number; readonly seconds: number }[];
  readonly ended: { readonly hub: number; readonly worker: number };
}

/** Orderly: a worker sends its clients away first. */
export interface Stop {
  readonly type: "stop";
  readonly drain?: DrainOptions;
}

export type HubCommand =
  | StartHub
  | Stop
  | MachineNews
  | SilenceNews
  /** The gateway is stopping: not ready any more. */
  | { readonly type: "notReady" }
  /** How many worker processes there are now. */
  | { readonly type: "workerCount"; readonly count: number }
  /** A worker process ended, by itself or replaced. */
  | { readonly type: "workerEnded"; readonly worker: number; readonly pid: number; readonly ended: Ended }
  /** The supervisor has taken note of the log's state. */
  | { readonly type: "logStateKnown" }
  /** The keys that count from now on. */
  | { readonly type: "adminKeys"; readonly keys: readonly AdminKey[] }
  /** How the rolling restart goes. */
  | { readonly type: "roll"; readonly roll: RollState };

export type WorkerCommand =
  | StartWorker
  | Stop
  /** The budget has changed; the window is that of a goodbye to everybody. */
  | { readonly type: "budget"; readonly rate: number; readonly windowMs: number }
  /** No other worker has room (or one has): it listens beyond its cap, or leaves the port when it is full. */
  | { readonly type: "overflow"; readonly on: boolean };

export type ChildCommand = HubCommand | WorkerCommand;

/** The hub's sums over all workers, reported once a second. */
export interface Load extends Omit<LoadSample, "cap"> {
  /** False once the hub knows that the gateway stops: `/readyz` shows it. */
  readonly ready: boolean;
  readonly handshakes: number;
  /** Linked workers whose counters have come: after a death of the hub, the sums lack the others. */
  readonly counted: number;
  /** Worker processes whose end is included in these sums. */
  readonly ended: number;
  /** Handshakes a second that the gateway sustains (admission/budget.ts). */
  readonly rate: number;
}

export type ChildReport =
  | LogMessage
  | { readonly type: "ready" }
  /** Once a second: it lives (liveness.ts). */
  | { readonly type: "beat" }
  | { readonly type: "full"; readonly full: boolean }
  /** From the hub: where its log stands now; nothing leaves the hub before `logStateKnown`. */
  | { readonly type: "logState"; readonly state: WalState; readonly detail: string }
  /** From the hub that stops: what topics remember could not be saved in `--state-dir`. */
  | { readonly type: "notSaved"; readonly detail: string }
  | { readonly type: "load"; readonly load: Load }
  /** From the hub: somebody asks for a rolling restart. */
  | { readonly type: "restartWorkers" }
  /** From a worker that leaves: its clients know the window in which to come back. */
  | { readonly type: "drained"; readonly windowMs: number }
  /** It cannot work here at all: a plain sentence for the user. */
  | { readonly type: "fatal"; readonly kind: "config" | "refused"; readonly detail: string };

export function report(message: ChildReport): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

export const endedInAll = ({ restarts, rolled }: Ended): number => restarts + rolled;
