/**
 * The maximum number of connections of the whole gateway, and which limit sets it: descriptors, --max-connections, or memory.
 * Each worker gets its share as its cap, at which it stops listening, so that the limit is exact without a common counter.
 *
 * The memory limit comes from a model and not from MemAvailable, which counts pinned inodes of sockets as free (src/README.md
 * fact 14): memory of the machine or the control group, minus the floor, minus the processes, divided by the cost of a
 * connection. Pure; runs in the supervisor.
 */
import {
  BYTES_PER_WORKER,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  spread,
  USER_BYTES_PER_CONNECTION,
} from "../config/capacity.js";
import { GatewayError } from "../errors.js";

/** Supervisor and hub. */
const OTHER_PROCESSES = 2;

/** Why a worker is at its cap; the names are those of the refusals. */
export type CapReason = "full" | "total_limit" | "memory";

export interface Ceiling {
  readonly connections: number;
  readonly reason: CapReason;
}

export interface CeilingLimits {
  readonly workers: number;
  /** Cap of one worker by its descriptors or by --worker-connections. */
  readonly workerCap: number;
  /** --max-connections; 0 is none. */
  readonly maxConnections: number;
  /** --memory-floor-bytes; 0 is none. */
  readonly memoryFloorBytes: number;
}

/** Connections whose memory, user and kernel, fits. */
export function memoryCeiling(memory: number, floor: number, workers: number): number {
  const left = memory - floor - (workers + OTHER_PROCESSES) * BYTES_PER_WORKER;
  return Math.max(0, Math.floor(left / (KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION)));
}

/** The lowest of the limits. Throws `config` when it is lower than the number of workers. */
export function ceilingOf(limits: CeilingLimits, memory: number): Ceiling {
  const { workers, maxConnections, memoryFloorBytes } = limits;
  let lowest: Ceiling = { connections: limits.workerCap * workers, reason: "full" };
  if (maxConnections > 0 && maxConnections < lowest.connections) {
    if (maxConnections < workers) {
      const detail = `--max-connections: ${workers} workers need at least one connection each; not ${maxConnections}`;
      throw new GatewayError("config", detail);
    }
    lowest = { connections: maxConnections, reason: "total_limit" };
  }
  if (memoryFloorBytes > 0) {
    const connections = memoryCeiling(memory, memoryFloorBytes, workers);
    if (connections < workers) {
      const detail = `--memory-floor-bytes: of ${memory} bytes, ${memoryFloorBytes} kept free and ${workers} workers leave room for no connection; 0 switches the floor off`;
      throw new GatewayError("config", detail);
    }
    if (connections < lowest.connections) lowest = { connections, reason: "memory" };
  }
  return lowest;
}

/**
 * The cap of the worker in a slot. A rolling restart uses one slot more: any `workers` of the slots stay within the ceiling
 * together; while an old and a new process run next to each other, the ceiling may be exceeded by one worker's share.
 */
export function capOfSlot(ceiling: Ceiling, workers: number, slot: number): number {
  return spread(ceiling.connections, workers)[slot] ?? Math.floor(ceiling.connections / workers);
}
