/**
 * The last moments of a worker, in order: it leaves the port, lets handshakes finish that it has accepted already, says
 * goodbye to everybody, and goes when the kernel has handed the close frames over. Exiting earlier would reset those
 * whose answer to the close frame is still unread. Worker only.
 */
import { statSync } from "node:fs";

/** For handshakes that were accepted before the listener closed; a silent peer must not hold it up longer. */
const HANDSHAKES_MS = 1000;
/** For close frames, where the kernel does not tell how many descriptors are open. */
const BLIND_MS = 300;
/** A client that does not answer the close frame is not waited for longer. */
const ANSWERS_MS = 2000;
const POLL_MS = 10;

/** Descriptors of this process, or 0 where the kernel does not say (before Linux 6.2). Listing them would cost memory. */
export const openDescriptors = (): number => statSync("/proc/self/fd").size;

export async function untilNoHandshake(handshakes: () => number): Promise<void> {
  await until(() => handshakes() <= 0, HANDSHAKES_MS);
}

/** `own`: the descriptors that this worker had without any client. */
export async function untilClientsAreGone(own: number): Promise<void> {
  if (own === 0) await new Promise((resolve) => setTimeout(resolve, BLIND_MS));
  else await until(() => openDescriptors() <= own, ANSWERS_MS);
}

async function until(holds: () => boolean, withinMs: number): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!holds() && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
