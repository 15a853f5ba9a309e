/**
 * What the kernel is asked to carry, and the sums from it: connections to descriptors, memory and TCP queue pages.
 * Pure; runs in the command line (`megagate tune`). The settings table takes every number that depends on the plan
 * from here, so that tune, the rendered file and a later doctor cannot disagree. Sources: KERNEL.md §1, §2, facts 6, 7.
 */
import {
  BYTES_PER_WORKER,
  DESCRIPTOR_RESERVE,
  fullestWorker,
  KERNEL_BYTES_PER_CLIENT_SOCKET,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  USER_BYTES_PER_CONNECTION,
  WORKER_OWN_DESCRIPTORS,
  workersFor,
} from "../src/config/capacity.js";

export interface Plan {
  readonly connections: number;
  /** Ports that the gateway listens on: they must never become the client end of some other connection. */
  readonly listenPorts: readonly number[];
  /** Both ends of every connection on this host, as in the million run. */
  readonly coLocated: boolean;
  readonly memoryBytes: number;
  /** nf_conntrack_count is above zero: something made the kernel track connections in this network namespace. */
  readonly conntrackLive: boolean;
  /** Hard RLIMIT_NOFILE of one process. */
  readonly nofile: number;
  /** The limit that one process is to get, where the operator names one; otherwise `processNofile` derives it. */
  readonly nofileWanted?: number;
  readonly cores: number;
  readonly pageBytes: number;
  /** 6 for Linux 6.18: before 6.0 every socket that ever moved data may keep a page. */
  readonly kernelMajor: number;
}

/** Sockets that may stall at the same moment: an assumption, generous where slow readers are closed at 32 KiB. */
const STALLED_SHARE = 1 / 20;
/** Kernel queue of one stalled socket with tcp_notsent_lowat at 16,384: 20 to 29 KB measured. */
const STALLED_QUEUE_BYTES = 29_000;

export const workersOf = (plan: Plan): number => workersFor(plan.connections, plan.cores, plan.nofile);

/** Socket ends that live on this host. */
export const endsOf = (plan: Plan): number => plan.connections * (plan.coLocated ? 2 : 1);

/** Open files or epoll watches of the whole host: one an end, and a tenth for everything else. */
export const endsWithSlack = (plan: Plan): number => Math.ceil((endsOf(plan) * 11) / 10);

/** Memory of the plan by the per-connection model, both ends where both are here. */
export function memoryNeededBytes(plan: Plan): number {
  const clientEnd = plan.coLocated ? KERNEL_BYTES_PER_CLIENT_SOCKET : 0;
  const perConnection = KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION + clientEnd;
  return plan.connections * perConnection + workersOf(plan) * BYTES_PER_WORKER;
}

/** What fs.nr_open is everywhere unless it was raised; no process is given more descriptors than this by derivation alone. */
export const STOCK_NR_OPEN = 1_048_576;

/** Hard limit that systemd gives a service by itself. */
const SYSTEMD_NOFILE = 524_288;

/** Descriptor limit for one process: as told, or enough for one worker a core, and never less than it has anyway. */
export function processNofile(plan: Plan): number {
  if (plan.nofileWanted !== undefined) return plan.nofileWanted;
  const alone = fullestWorker(plan.connections, plan.cores) + WORKER_OWN_DESCRIPTORS + DESCRIPTOR_RESERVE;
  return Math.max(plan.nofile, SYSTEMD_NOFILE, Math.min(alone, STOCK_NR_OPEN));
}

/** Tasks of the service: 12 for each worker (7 threads measured, and slack), at least what systemd long gave by default. */
export const serviceTasks = (plan: Plan): number => Math.max(4915, 12 * (workersOf(plan) + 2));

/**
 * Pages of queued data that TCP must be allowed: the stalled share times its queue, never more than the memory that
 * the idle sockets leave over. An idle socket queues nothing, so this does not grow with N alone.
 */
export function tcpQueuePages(plan: Plan): number {
  const left = Math.max(0, Math.floor((plan.memoryBytes - memoryNeededBytes(plan)) / plan.pageBytes));
  return Math.min(tcpQueueWantedPages(plan), left);
}

/** The same without regard to the memory that there is. */
export function tcpQueueWantedPages(plan: Plan): number {
  const stalled = Math.ceil(plan.connections * STALLED_SHARE);
  const kept = plan.kernelMajor < 6 ? endsOf(plan) : 0;
  return Math.ceil((stalled * STALLED_QUEUE_BYTES) / plan.pageBytes) + kept;
}
