/**
 * A child process for tests of supervision/: it reports ready when it is started, and does what the rate of a `budget` says, so
 * that a test can make it die or hang.
 */
import { type ChildCommand, report } from "../../../src/supervision/control-channel.js";

/** Entry file, relative to src/supervision/child-process.ts. */
export const STUB = "../../test/unit/supervision/stub-child.js";
/** Rates that are orders. */
export const DIE = -1;
export const IGNORE_STOP = -2;
export const REPORT_FULL = -3;

export const order = (rate: number): ChildCommand => ({ type: "budget", rate, windowMs: 0 });

let ignoresStop = false;

if (process.send) {
  process.on("message", (command: ChildCommand) => {
    if (command.type === "startWorker") report({ type: "ready" });
    if (command.type === "overflow") report({ type: "load", load: { ready: command.on } as never });
    if (command.type === "budget" && command.rate === DIE) process.exit(3);
    if (command.type === "budget" && command.rate === IGNORE_STOP) ignoresStop = true;
    if (command.type === "budget" && command.rate === REPORT_FULL) report({ type: "full", full: true });
    if (command.type !== "stop" || ignoresStop) return;
    report({ type: "drained", windowMs: command.drain?.withinMs ?? 0 });
    process.disconnect();
  });
}
