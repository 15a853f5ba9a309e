/**
 * How the proof's children start and end: they are forked with little memory, ignore the terminal's signals, and end as soon as
 * the channel to their parent closes, even if the parent was killed. The parent's and the child's half stand here together, so
 * that they agree.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { HolderReport, StepReport } from "./messages.js";

/** A child allocates little: one thread for V8, one for the idle wait, and a small young generation. */
const NODE_FLAGS = ["--max-semi-space-size=1", "--v8-pool-size=1", "--single-threaded-gc"];

export const forkChild = (entry: URL): ChildProcess =>
  fork(entry, [], {
    execArgv: NODE_FLAGS,
    env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });

export const isAlive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

/** Kills children and waits until they and their connections are gone. */
export async function endChildren(children: readonly ChildProcess[]): Promise<void> {
  const living = children.filter(isAlive);
  const gone = living.map((child) => once(child, "exit"));
  for (const child of living) child.kill("SIGKILL");
  await Promise.all(gone);
}

/** In the child: only the parent ends it. It kills itself, because exit() would wait for the thread of an idle epoll wait. */
export function leaveWithParent(title: string): void {
  process.title = title;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
}

/** In the child: sends to the parent, if it still lives. */
export function sendReport(report: StepReport | HolderReport): void {
  if (process.connected) process.send?.(report, undefined, undefined, () => undefined);
}
