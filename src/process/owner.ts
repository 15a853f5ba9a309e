/**
 * A gateway that belongs to the command that started it stops, in order, when that command is gone, even by SIGKILL. The
 * owner starts it with an IPC channel and claims it there; the channel closes when the owner ends. A gateway that is not
 * claimed runs on, whoever started it.
 */
import type { ChildProcess } from "node:child_process";

const CLAIM = "megagate: end with me";

/** `child` was started with an IPC channel. */
export function claim(child: ChildProcess): void {
  // It may have ended already: the caller learns that from its exit.
  child.send(CLAIM, () => undefined);
}

/** Calls `act` once when an owner claimed this process and is gone. */
export function whenOwnerIsGone(act: () => void): void {
  process.once("message", (message) => {
    if (message !== CLAIM) return;
    if (process.connected) process.once("disconnect", act);
    else act();
    process.channel?.unref();
  });
  // A channel with listeners would keep the process alive.
  process.channel?.unref();
}
