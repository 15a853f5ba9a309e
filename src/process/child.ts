/**
 * What hub and workers have in common as children of the supervisor: they ignore terminal signals (the supervisor
 * decides), survive a broken stdout or stderr, start when told, and stop by themselves when the supervisor is gone, so
 * that nothing listens without an owner.
 */

import type { DrainOptions } from "../drain/goodbye.js";
import type { Log } from "../log.js";
import {
  type ChildCommand,
  report,
  type StartHub,
  type StartWorker,
  type Stop,
} from "../supervision/control-channel.js";

/** A hub or a worker that runs, to which messages of `M` come. */
export interface RunningChild<M extends ChildCommand> {
  handle(message: Exclude<M, StartHub | StartWorker | Stop>): void;
  /** Orderly; the process exits afterwards. Without `drain` the supervisor is gone. */
  stop(drain?: DrainOptions): Promise<void>;
}

/** A reason not to start that a user can act on, in plain words. */
export class CannotStart extends Error {}

/** How often a child shows that it lives, unless it hangs. */
const BEAT_MS = 1000;

export function runChild<S extends StartHub | StartWorker, M extends ChildCommand>(
  startType: S["type"],
  log: Log,
  start: (given: S) => Promise<RunningChild<M>>,
): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  let running: RunningChild<M> | undefined;
  let stopping = false;
  let boundMs = 0;

  const begin = (given: S): void => {
    boundMs = given.config.stopSeconds * 1000;
    start(given)
      .then((started) => {
        running = started;
      })
      .catch((error: unknown) => {
        if (error instanceof CannotStart) report({ type: "fatal", kind: "config", detail: error.message });
        else log("error", "could not start", { error: String(error) });
        process.exitCode = 1;
        process.disconnect();
      });
  };
  const stop = async (drain?: DrainOptions): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await running?.stop(drain);
    process.exit(0);
  };
  const onOrphaned = (): void => {
    // Nobody is left who would cut it: it bounds itself, as the supervisor would have.
    setTimeout(() => process.exit(1), boundMs).unref();
    void stop();
  };

  process.on("message", (message: M) => {
    if (message.type === startType) begin(message as unknown as S);
    else if (message.type === "stop") void stop(message.drain);
    else running?.handle(message as Exclude<M, StartHub | StartWorker | Stop>);
  });
  process.on("disconnect", onOrphaned);
  setInterval(() => report({ type: "beat" }), BEAT_MS).unref();
}
