/**
 * The sizes of a proof, and the processes and memory that each needs: pure sums over the measured model
 * (src/config/capacity.ts). Used in the command line.
 */
import {
  fullestWorker,
  KERNEL_BYTES_PER_CLIENT_SOCKET,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  workerCap,
  workersFor,
} from "../../src/config/capacity.js";

export interface ProofSize {
  /** Entries that the connection-tracking table holds in the first two steps. */
  readonly table: number;
  /** Connections that are asked for in every step. */
  readonly connections: number;
  /** Entries that it holds in the third step. */
  readonly raised: number;
  /** Maximum time of one step, forks and end included. */
  readonly stepSeconds: number;
}

export const QUICK: ProofSize = { table: 5000, connections: 7000, raised: 8400, stepSeconds: 45 };
/** The kernel's default on every host above 4 GiB; 288,000 is what the first reproduction asked for. */
export const FULL: ProofSize = { table: 262_144, connections: 288_000, raised: 345_600, stepSeconds: 120 };

/** A connect without an answer has timed out after this time: by then the kernel has sent its SYN several times. */
export const CONNECT_TIMEOUT_MS = 4000;

/** Below half of the 64,511 ports of one source address connect() stays cheap (src/README.md fact 5). */
const CONNECTIONS_PER_SOURCE = 28_000;
/** At least two, however few the connections: they share the listening port, as a gateway's workers do. */
const MIN_HOLDERS = 2;
/** Memory of one child: 9.6 MB private by Pss_Anon, and what the kernel keeps for a process. */
const BYTES_PER_HOLDER = 20e6;
/** One connection-tracking entry: 256 B in its slab, and extensions. In total 3.1 GB by this sum, 3.06 GB measured. */
const BYTES_PER_ENTRY = 400;
/** MemFree and page cache that must stay free. */
export const MEMORY_FLOOR_BYTES = 1e9;

/** Processes on each side: as many as the fullest needs to stay within its descriptors. */
export function holdersFor(connections: number, nofile: number): number {
  const byDescriptors = workersFor(connections, MIN_HOLDERS, nofile);
  return Math.max(byDescriptors, Math.ceil(connections / CONNECTIONS_PER_SOURCE));
}

export const holdersFit = (connections: number, nofile: number): boolean =>
  fullestWorker(connections, holdersFor(connections, nofile)) <= workerCap(nofile) &&
  holdersFor(connections, nofile) <= 256;

/** Maximum memory of one step, bytes. */
export function proofMemoryBytes(connections: number, holders: number): number {
  const each = KERNEL_BYTES_PER_SERVER_SOCKET + KERNEL_BYTES_PER_CLIENT_SOCKET + BYTES_PER_ENTRY;
  return connections * each + 2 * holders * BYTES_PER_HOLDER;
}
