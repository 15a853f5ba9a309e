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
  logBytes,
  STALLED_QUEUE_BYTES,
  STALLED_SHARE,
  USER_BYTES_PER_CONNECTION,
  WORKER_OWN_DESCRIPTORS,
  workersFor,
} from "../src/config/capacity.js";
import type { Facts, Usage } from "./kernel/facts.js";

export interface Plan {
  readonly connections: number;
  /** Ports that the gateway listens on: they must never become the client end of some other connection. */
  readonly listenPorts: readonly number[];
  /** Both ends of every connection on this host, as in the million run. */
  readonly coLocated: boolean;
  readonly memoryBytes: number;
  /** The kernel tracks connections made in this network namespace, or may, where nobody could try. */
  readonly conntrackLive: boolean;
  /** Hard RLIMIT_NOFILE of one process. */
  readonly nofile: number;
  /** The limit that one process is to get, where the operator names one; otherwise `processNofile` derives it. */
  readonly nofileWanted?: number;
  readonly cores: number;
  readonly pageBytes: number;
  /** "6.18.44-…": before 6.0 every socket that ever moved data may keep a quantum. */
  readonly kernel: string;
  /** Limits of the control groups that this process is in, where there are any. */
  readonly groupMemory?: Usage;
  readonly groupTasks?: Usage;
}

/** What a person asks for, beside what the machine is. */
export interface Asked {
  readonly connections: number;
  readonly listenPorts: readonly number[];
  readonly coLocated: boolean;
  readonly nofileWanted?: number;
}

/** The one way from a surveyed machine to a plan: `tune` and the doctor ask the table the same question. */
export function planOf(facts: Facts, asked: Asked): Plan {
  const { groupMemory, tasks } = facts;
  return {
    ...asked,
    memoryBytes: facts.memory?.totalBytes ?? 0,
    conntrackLive: facts.tracking !== null && facts.tracking.live !== false,
    nofile: facts.nofile?.hard ?? 1024,
    cores: facts.cores,
    pageBytes: facts.pageBytes,
    kernel: facts.kernel,
    ...(groupMemory && { groupMemory }),
    ...(tasks.group && { groupTasks: tasks.group }),
  };
}

/**
 * What a socket that ever moved data may keep before Linux 6.0, bytes: from 4.11 on a quantum of 4 KiB even where pages are
 * bigger (bd68a2a854ad), a whole page before. net.ipv4.tcp_mem is in pages always, and what is used is counted in quanta.
 */
export function tcpQuantumBytes(kernel: string, pageBytes: number): number {
  const [major = 6, minor = 0] = kernel.split(/[.-]/).map(Number);
  const hasQuantum = major === 5 || (major === 4 && minor >= 11);
  return hasQuantum ? 4096 : pageBytes;
}

/** Before Linux 6.0 (4890b686f408) a socket gave back what it had been allowed only under pressure. */
export const keepsTcpMemory = (kernel: string): boolean => Number.parseInt(kernel, 10) < 6;

/** Bytes that n socket ends keep for good. */
export function tcpKeptBytes(ends: number, kernel: string, pageBytes: number): number {
  return keepsTcpMemory(kernel) ? ends * tcpQuantumBytes(kernel, pageBytes) : 0;
}

export const workersOf = (plan: Plan): number => workersFor(plan.connections, plan.cores, plan.nofile);

/** Socket ends that live on this host. */
export const endsOf = (plan: Plan): number => plan.connections * (plan.coLocated ? 2 : 1);

/** Open files or epoll watches of the whole host: one an end, and a tenth for everything else. */
export const endsWithSlack = (plan: Plan): number => Math.ceil((endsOf(plan) * 11) / 10);

/** Memory of the plan by the per-connection model, both ends where both are here. */
export function memoryNeededBytes(plan: Plan): number {
  const clientEnd = plan.coLocated ? KERNEL_BYTES_PER_CLIENT_SOCKET : 0;
  const perConnection = KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION + clientEnd;
  return plan.connections * perConnection + workersOf(plan) * BYTES_PER_WORKER + logBytes(0);
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

/** Tasks of hub, supervisor and workers: 12 each (7 threads measured, and slack). */
export const tasksNeeded = (plan: Plan): number => 12 * (workersOf(plan) + 2);

/** Tasks of the service: at least what systemd long gave by default. */
export const serviceTasks = (plan: Plan): number => Math.max(4915, tasksNeeded(plan));

/**
 * Pages of queued data that TCP must be allowed: the stalled share times its queue, never more than the memory that
 * the idle sockets leave over. An idle socket queues nothing, so this does not grow with N alone.
 */
export function tcpQueuePages(plan: Plan): number {
  return Math.min(tcpQueueWantedPages(plan), pagesLeft(plan));
}

/** Pages that idle connections leave of the memory. */
export const pagesLeft = (plan: Plan): number =>
  Math.max(0, Math.floor((plan.memoryBytes - memoryNeededBytes(plan)) / plan.pageBytes));

/** The same without regard to the memory that there is. */
export function tcpQueueWantedPages(plan: Plan): number {
  const stalled = Math.ceil(plan.connections * STALLED_SHARE);
  const kept = tcpKeptBytes(endsOf(plan), plan.kernel, plan.pageBytes);
  return Math.ceil((stalled * STALLED_QUEUE_BYTES + kept) / plan.pageBytes);
}
