/**
 * Single costs, computed from a run: takes figures of an evidence file, returns bytes or CPU microseconds; null where the run
 * lacks them, for example when the gateway was on another machine. Pure; runs in the command line.
 */
import { KERNEL_BYTES_PER_CLIENT_SOCKET, KERNEL_BYTES_PER_SERVER_SOCKET } from "../../src/config/capacity.js";
import type { Measured } from "./measured.js";

export const scaled = (value: number | null, part: number): number | null => (value === null ? null : value * part);

/** Gateway and clients on one machine: only then do its cores and its Slab hold both ends. */
function together(run: Measured): boolean {
  const known = run.memory?.userBytesPerConnection;
  return (known !== null && known !== undefined) || /^ws:\/\/(127\.|localhost\b)/.test(run.url ?? "");
}

export function endOf(run: Measured, model: number): number | null {
  const slab = run.memory?.kernelBytesPerConnection;
  if (slab === null || slab === undefined || !together(run)) return null;
  return (slab * model) / (KERNEL_BYTES_PER_SERVER_SOCKET + KERNEL_BYTES_PER_CLIENT_SOCKET);
}

/** The workers, the hub and the supervisor. */
export function perProcess({ memory, plan }: Measured): number | null {
  const { baseBytes } = memory ?? {};
  const { workers } = plan ?? {};
  return baseBytes && workers ? baseBytes / (workers + 2) : null;
}

/** Counts all cores for as long as the slowest broadcast took, which may be more than was used and is never less. */
export function slowestDelivery(run: Measured): number | null {
  const whole = (run.broadcasts ?? []).filter(({ delivered, lastSubscriberMs: ms }) => ms && delivered === run.open);
  if (!together(run) || !run.host || whole.length === 0) return null;
  return (Math.max(...whole.map((one) => one.lastSubscriberMs!)) * 1000 * run.host.cores) / run.open;
}

export function connectBothEnds(run: Measured): number | null {
  if (!together(run) || !run.host || !run.connectPerSecond) return null;
  return (1e6 * run.host.cores) / run.connectPerSecond;
}
