/**
 * What the kernel must carry (KernelPlan), and the sums from it: connections to descriptors, memory and TCP queue pages.
 * Pure; runs in the command line and in the supervisor. The settings table takes every number that depends on the plan from
 * here, so that tune, the rendered file and the doctor cannot disagree. Measurements: src/README.md facts 1, 6, 7, 12 and 23.
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
import type { MachineFacts, Usage } from "./kernel/facts.js";

export interface KernelPlan {
  readonly connections: number;
  /** Ports that the gateway listens on: no outgoing connection may take them. */
  readonly listenPorts: readonly number[];
  /** Both ends of every connection are on this host, as in `make million`. */
  readonly coLocated: boolean;
  readonly memoryBytes: number;
  /** The kernel tracks connections of this network namespace, or may do so where nobody could try. */
  readonly conntrackLive: boolean;
  /** Hard RLIMIT_NOFILE of one process. */
  readonly nofile: number;
  /** The limit for one process that the operator asked for; without it `processNofile` derives one. */
  readonly nofileWanted?: number;
  readonly cores: number;
  readonly pageBytes: number;
  /** "6.18.44-…": before 6.0 every socket that ever moved data may keep a quantum of memory. */
  readonly kernel: string;
  /** Limits of the control groups that this process is in, where there are any. */
  readonly groupMemory?: Usage;
  readonly groupTasks?: Usage;
}

/** The part of a plan that an operator chooses; the rest is the machine's. */
export interface KernelPlanRequest {
  readonly connections: number;
  readonly listenPorts: readonly number[];
  readonly coLocated: boolean;
  readonly nofileWanted?: number;
}

/** The one way from a surveyed machine to a plan, for `tune` and the doctor. */
export function kernelPlan(facts: MachineFacts, request: KernelPlanRequest): KernelPlan {
  const { groupMemory, tasks } = facts;
  return {
    ...request,
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
 * Bytes that a socket which ever moved data may keep before Linux 6.0: from 4.11 on a quantum of 4 KiB even where pages are
 * bigger (bd68a2a854ad), a whole page before. net.ipv4.tcp_mem is always in pages, but its use is counted in quanta.
 */
export function tcpQuantumBytes(kernel: string, pageBytes: number): number {
  const [major = 6, minor = 0] = kernel.split(/[.-]/).map(Number);
  const hasQuantum = major === 5 || (major === 4 && minor >= 11);
  return hasQuantum ? 4096 : pageBytes;
}

/** Before Linux 6.0 (4890b686f408) a socket returned reserved memory only under pressure. */
export const keepsTcpMemory = (kernel: string): boolean => Number.parseInt(kernel, 10) < 6;

/** Bytes that n socket ends keep for good. */
export function tcpKeptBytes(ends: number, kernel: string, pageBytes: number): number {
  return keepsTcpMemory(kernel) ? ends * tcpQuantumBytes(kernel, pageBytes) : 0;
}

export const plannedWorkers = (plan: KernelPlan): number => workersFor(plan.connections, plan.cores, plan.nofile);

/** Socket ends that live on this host. */
export const endsOf = (plan: KernelPlan): number => plan.connections * (plan.coLocated ? 2 : 1);

/** Open files or epoll watches of the whole host: one for each end, and a tenth for everything else. */
export const endsWithSlack = (plan: KernelPlan): number => Math.ceil((endsOf(plan) * 11) / 10);

/** Memory of the plan by the per-connection model, both ends where both are here. */
export function memoryNeededBytes(plan: KernelPlan): number {
  const clientEnd = plan.coLocated ? KERNEL_BYTES_PER_CLIENT_SOCKET : 0;
  const perConnection = KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION + clientEnd;
  return plan.connections * perConnection + plannedWorkers(plan) * BYTES_PER_WORKER + logBytes(0);
}

/** The kernel's default of fs.nr_open; a derived limit never exceeds it. */
export const STOCK_NR_OPEN = 1_048_576;

/** The hard limit that systemd gives a service by default. */
const SYSTEMD_NOFILE = 524_288;

/** Descriptor limit for one process: the operator's, or enough for one worker a core, but never less than it has now. */
export function processNofile(plan: KernelPlan): number {
  if (plan.nofileWanted !== undefined) return plan.nofileWanted;
  const alone = fullestWorker(plan.connections, plan.cores) + WORKER_OWN_DESCRIPTORS + DESCRIPTOR_RESERVE;
  return Math.max(plan.nofile, SYSTEMD_NOFILE, Math.min(alone, STOCK_NR_OPEN));
}

/** Tasks of supervisor, hub and workers: 12 each (7 threads measured, and slack). */
export const tasksNeeded = (plan: KernelPlan): number => 12 * (plannedWorkers(plan) + 2);

/** Tasks of the service: at least 4,915, systemd's default for many years. */
export const serviceTasks = (plan: KernelPlan): number => Math.max(4915, tasksNeeded(plan));

/**
 * Pages of queued data that TCP must be allowed: the share of stalled sockets times their queue, never more than the memory that
 * idle sockets leave free. An idle socket queues nothing, so the result does not grow with the connections alone.
 */
export function tcpQueuePages(plan: KernelPlan): number {
  return Math.min(tcpQueueWantedPages(plan), pagesLeft(plan));
}

/** Pages of memory that idle connections leave free. */
export const pagesLeft = (plan: KernelPlan): number =>
  Math.max(0, Math.floor((plan.memoryBytes - memoryNeededBytes(plan)) / plan.pageBytes));

/** Pages of queued data without regard to the memory of the machine. */
export function tcpQueueWantedPages(plan: KernelPlan): number {
  const stalled = Math.ceil(plan.connections * STALLED_SHARE);
  const kept = tcpKeptBytes(endsOf(plan), plan.kernel, plan.pageBytes);
  return Math.ceil((stalled * STALLED_QUEUE_BYTES + kept) / plan.pageBytes);
}
