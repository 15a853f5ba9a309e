/**
 * The most connections of the whole gateway, and what sets it: descriptors, --max-connections, or memory. Each worker gets its
 * part as its cap, at which it leaves the port to the others, so that the limit is exact without anybody counting for all.
 *
 * Memory goes by the model and not by MemAvailable, which counts pinned inodes of sockets as free (KERNEL.md §2): memory of
 * the machine or the control group, less the floor, less the processes, over what a connection costs.
 */
import {
  BYTES_PER_WORKER,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  spread,
  USER_BYTES_PER_CONNECTION,
} from "../config/capacity.js";
import { GatewayError } from "../errors.js";

/** Supervisor and hub, beside the workers. */
const OTHER_PROCESSES = 2;

/** Why a worker is at its cap; the names are those of the refusals. */
export type CapReason = "full" | "total_limit" | "memory";

export interface Ceiling {
  readonly connections: number;
  readonly reason: CapReason;
}

export interface Limits {
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

/** The lowest of the limits. Throws `config` when it leaves a worker without a place. */
export function ceilingOf(limits: Limits, memory: number): Ceiling {
  const { workers, maxConnections, memoryFloorBytes } = limits;
  let lowest: Ceiling = { connections: limits.workerCap * workers, reason: "full" };
  if (maxConnections > 0 && maxConnections < lowest.connections) {
    if (maxConnections < workers) {
      const detail = `--max-connections: ${workers} workers need at least one place each; not ${maxConnections}`;
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
 * The cap of the worker at a place. A rolling restart uses one place more: any `workers` of them stay within the ceiling
 * together, and while an old and a new process stand beside each other it may be exceeded by one worker's part.
 */
export function capOf(ceiling: Ceiling, workers: number, place: number): number {
  return spread(ceiling.connections, workers)[place] ?? Math.floor(ceiling.connections / workers);
}
