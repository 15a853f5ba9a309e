/**
 * What hub and workers have in common as children of the supervisor: they ignore terminal signals (the supervisor
 * decides), survive a broken stdout or stderr, start when told, and stop by themselves when the supervisor is gone, so
 * that nothing listens without an owner.
 */

import type { DrainOptions } from "../drain/goodbye.js";
import type { Log } from "../log.js";
import { type StartHub, type StartWorker, type ToChild, tell } from "../supervision/control-channel.js";

export interface Running {
  handle(message: ToChild): void;
  /** Orderly; the process exits afterwards. Without a farewell the supervisor is gone. */
  stop(drain?: DrainOptions): Promise<void>;
}

/** A reason not to start that a user can act on, in plain words. */
export class CannotStart extends Error {}

/** How often a child says that it lives, unless it hangs. */
const BEAT_MS = 1000;

export function runChild<T extends StartHub | StartWorker>(
  type: T["type"],
  log: Log,
  start: (given: T) => Promise<Running>,
): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  let running: Running | undefined;
  let stopping = false;
  let boundMs = 0;

  const stop = async (drain?: DrainOptions): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await running?.stop(drain);
    process.exit(0);
  };
  const orphaned = (): void => {
    // Nobody is left who would cut it: it bounds itself, as the supervisor would have.
    setTimeout(() => process.exit(1), boundMs).unref();
    void stop();
  };

  process.on("message", (message: ToChild) => {
    if (message.type === type) {
      boundMs = (message as T).config.stopSeconds * 1000;
      start(message as T)
        .then((started) => {
          running = started;
        })
        .catch((error: unknown) => {
          if (error instanceof CannotStart) tell({ type: "fatal", kind: "config", detail: error.message });
          else log("error", "could not start", { error: String(error) });
          process.exitCode = 1;
          process.disconnect();
        });
    } else if (message.type === "stop") void stop(message.drain);
    else running?.handle(message);
  });
  process.on("disconnect", orphaned);
  setInterval(() => tell({ type: "beat" }), BEAT_MS).unref();
}
