/**
 * What a worker waits for before it exits: handshakes that it accepted before it stopped listening, and after its goodbyes
 * the descriptors of its clients. An earlier exit would reset connections whose answer to the close frame is still unread
 * (src/README.md fact 21). Worker only.
 */
import { statSync } from "node:fs";

/** For handshakes that were accepted before the listener closed; a silent peer must not delay the exit longer. */
const HANDSHAKES_MS = 1000;
/** For close frames, where the kernel does not report how many descriptors are open. */
const UNCOUNTED_MS = 300;
/** For clients that do not answer the close frame. */
const ANSWERS_MS = 2000;
const POLL_MS = 10;

/**
 * Descriptors of this process, or 0 where the kernel does not report the number (before Linux 6.2). Listing them instead would
 * leave 1.8 KB of kernel memory per connection (src/README.md fact 13).
 */
export const openDescriptors = (): number => statSync("/proc/self/fd").size;

export async function untilNoHandshake(handshakes: () => number): Promise<void> {
  await until(() => handshakes() <= 0, HANDSHAKES_MS);
}

/** `own`: the descriptors that this worker had before it had clients. */
export async function untilClientsAreGone(own: number): Promise<void> {
  if (own === 0) await new Promise((resolve) => setTimeout(resolve, UNCOUNTED_MS));
  else await until(() => openDescriptors() <= own, ANSWERS_MS);
}

async function until(holds: () => boolean, withinMs: number): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!holds() && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
