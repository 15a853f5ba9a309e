/** How large a proof is, and what it takes: pure sums over the measured model (src/config/capacity.ts). */
import {
  fullestWorker,
  KERNEL_BYTES_PER_CLIENT_SOCKET,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  workerCap,
  workersFor,
} from "../../src/config/capacity.js";

export interface Size {
  /** Entries that the connection-tracking table holds in the first two acts. */
  readonly table: number;
  /** Connections that are asked for in every act. */
  readonly connections: number;
  /** Entries in the third act. */
  readonly raised: number;
  /** Bound of one act, forks and end included. */
  readonly actSeconds: number;
}

export const QUICK: Size = { table: 5000, connections: 7000, raised: 8400, actSeconds: 45 };
/** The kernel's default on every host above 4 GiB; 288,000 is what the first reproduction asked for. */
export const FULL: Size = { table: 262_144, connections: 288_000, raised: 345_600, actSeconds: 120 };

/** A connect that is not answered for so long has timed out: by then the kernel has sent its SYN several times. */
export const CONNECT_TIMEOUT_MS = 4000;

/** Below half of the 64,511 ports of one source address connect() stays cheap (KERNEL.md fact 5). */
const CONNECTIONS_PER_SOURCE = 28_000;
/** Two, however few the connections: the listening port is shared, as a gateway's is. */
const FEWEST_HOLDERS = 2;
/** Memory of one child: 9.6 MB private by Pss_Anon, and what the kernel keeps for a process. */
const BYTES_PER_HOLDER = 20e6;
/** One connection-tracking entry: 256 B in its slab, and extensions. All in all 3.1 GB by this sum, 3.06 GB measured. */
const BYTES_PER_ENTRY = 400;
/** What must be left: MemFree and page cache. */
export const MEMORY_FLOOR_BYTES = 1e9;

/** Acceptors, and as many connectors: so many that the fullest keeps within its descriptors. */
export function holdersFor(connections: number, nofile: number): number {
  const byDescriptors = workersFor(connections, FEWEST_HOLDERS, nofile);
  return Math.max(byDescriptors, Math.ceil(connections / CONNECTIONS_PER_SOURCE));
}

export const holdersFit = (connections: number, nofile: number): boolean =>
  fullestWorker(connections, holdersFor(connections, nofile)) <= workerCap(nofile) &&
  holdersFor(connections, nofile) <= 256;

/** Memory of one act at its height, bytes. */
export function memoryNeededBytes(connections: number, holders: number): number {
  const each = KERNEL_BYTES_PER_SERVER_SOCKET + KERNEL_BYTES_PER_CLIENT_SOCKET + BYTES_PER_ENTRY;
  return connections * each + 2 * holders * BYTES_PER_HOLDER;
}
