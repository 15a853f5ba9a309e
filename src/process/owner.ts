/**
 * A gateway that belongs to the command that started it: it ends, in order, when that is gone, however it went. The
 * owner starts it with an IPC channel and says so on it; its end of the channel closes with it, at SIGKILL too. A gateway
 * that nobody claims does not care who started it.
 */
import type { ChildProcess } from "node:child_process";

const CLAIM = "megagate: end with me";

/** `child` was started with an IPC channel. */
export function claim(child: ChildProcess): void {
  // It may have ended already, which its exit tells.
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
