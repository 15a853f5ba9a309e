/**
 * Pure sums: what n connections need of a machine, with as many processes as the gateway and the load generator start by
 * themselves. All sums rise with n, so that the ceiling of a limit is the last n that fits. Sums that the gateway and the load
 * generator share stand in src/config/capacity.ts.
 */
import {
  BYTES_PER_WORKER,
  DESCRIPTOR_RESERVE,
  fullestWorker,
  GENERATOR_OWN_DESCRIPTORS,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  logBytes,
  MAX_WORKERS,
  memoryOfLoad,
  THREADS_PER_GENERATOR,
  USER_BYTES_PER_CONNECTION,
  WORKER_OWN_DESCRIPTORS,
  workerCap,
  workersFor,
} from "../../src/config/capacity.js";
import type { MachineFacts } from "../kernel/facts.js";
import { tcpKeptBytes } from "../plan.js";
import { type DoctorPlan, MAX_CONNECTIONS } from "./ceiling.js";

/** Maximum --generators of the load generator. */
export const MAX_GENERATORS = 10_000;
/** The kernel's own hard limit where nobody set one: stands in for a limit that could not be read. */
const KERNEL_NOFILE = 4096;
/** Supervisor and hub: each takes about as much memory as a worker. */
const OTHER_PROCESSES = 2;
/** Counted in an idle gateway after its first file reads: the main thread, V8's and the thread pool's. */
const THREADS_PER_WORKER = 11;
/** Kernel memory of one entry in the connection-tracking table (src/README.md fact 19). */
const BYTES_PER_TRACKED_FLOW = 256;
/** Bytes: the load generator's default --memory-floor. It refuses a run that would leave less. */
export const GENERATOR_MEMORY_FLOOR = 1e9;

export const hasServer = (plan: DoctorPlan): boolean => plan.side !== "client";
export const hasClient = (plan: DoctorPlan): boolean => plan.side !== "server";
/** Socket ends of one connection that are on this machine. */
export const endsPerConnection = (plan: DoctorPlan): number => (plan.side === "both" ? 2 : 1);

/** The descriptor limit of one process that holds a share of n connections: inherited, or raised where it may raise it. */
export function nofileFor(n: number, facts: MachineFacts): number {
  const own = facts.nofile?.hard ?? KERNEL_NOFILE;
  const wanted = descriptorsWanted(n, facts);
  const ceiling = numberOf(facts, "fs.nr_open") ?? own;
  return facts.raisesLimits && wanted > own && wanted <= ceiling ? wanted : Math.min(own, ceiling);
}

/** The limit under which one worker for each core is enough. */
export const descriptorsWanted = (n: number, { cores }: MachineFacts): number =>
  fullestWorker(n, cores) + WORKER_OWN_DESCRIPTORS + DESCRIPTOR_RESERVE;

/** Supervisor and hub need a descriptor for each worker (with twelve workers: 20 and 22 more of their own were counted). */
export const maxWorkers = (facts: MachineFacts): number =>
  Math.min(MAX_WORKERS, workerCap(facts.nofile?.hard ?? KERNEL_NOFILE));

/** The limit to ask for: enough for one worker a core, or as much as fs.nr_open allows where that is less. */
export function nofileNeeded(n: number, facts: MachineFacts): number {
  const ceiling = numberOf(facts, "fs.nr_open") ?? Number.POSITIVE_INFINITY;
  const min = fullestWorker(n, MAX_WORKERS) + WORKER_OWN_DESCRIPTORS + DESCRIPTOR_RESERVE;
  return Math.max(min, Math.min(descriptorsWanted(n, facts), ceiling));
}

export const workersNeeded = (n: number, facts: MachineFacts): number =>
  workersFor(n, facts.cores, nofileFor(n, facts));

export const generatorsNeeded = (n: number, facts: MachineFacts): number =>
  Math.max(facts.cores, Math.ceil(n / Math.max(1, (facts.nofile?.hard ?? KERNEL_NOFILE) - GENERATOR_OWN_DESCRIPTORS)));

export function tasksOf(n: number, facts: MachineFacts, plan: DoctorPlan): number {
  const server = hasServer(plan) ? (workersNeeded(n, facts) + OTHER_PROCESSES) * THREADS_PER_WORKER : 0;
  // One more: the coordinator.
  const client = hasClient(plan) ? (generatorsNeeded(n, facts) + 1) * THREADS_PER_GENERATOR : 0;
  return server + client;
}

/** Bytes of kernel and user memory, by the measured cost of a connection and of a process. */
export function bytesOf(n: number, facts: MachineFacts, plan: DoctorPlan): number {
  const flows = facts.tracking?.live === true ? n * BYTES_PER_TRACKED_FLOW : 0;
  // The write-ahead log at its smallest; `megagate plan` adds what topics of single users need.
  const gateway = hasServer(plan) ? (workersNeeded(n, facts) + OTHER_PROCESSES) * BYTES_PER_WORKER + logBytes(0) : 0;
  if (!hasClient(plan)) return n * (KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION) + gateway + flows;
  return memoryOfLoad(n, generatorsNeeded(n, facts), plan.side === "both") + gateway + flows;
}

/** Pages of net.ipv4.tcp_mem that n connections keep, before Linux 6.0. */
export const tcpPagesKept = (n: number, { kernel, pageBytes }: MachineFacts, plan: DoctorPlan): number =>
  Math.ceil(tcpKeptBytes(n * endsPerConnection(plan), kernel, pageBytes) / pageBytes);

/** The numbers of a setting; undefined where it could not be read. */
export function numbersOf(facts: MachineFacts, key: string): readonly number[] | undefined {
  const reading = facts.settings.get(key);
  if (reading === undefined || !("text" in reading)) return undefined;
  const numbers = reading.text.split(/\s+/).map(Number);
  return numbers.every(Number.isFinite) ? numbers : undefined;
}

export const numberOf = (facts: MachineFacts, key: string): number | undefined => numbersOf(facts, key)?.[0];

/** The last n that fits, for a condition that holds up to some n and not beyond; at most MAX_CONNECTIONS. */
export function largestFitting(fits: (n: number) => boolean): number {
  if (!fits(1)) return 0;
  let low = 1;
  let high = 2;
  while (high < MAX_CONNECTIONS && fits(high)) [low, high] = [high, high * 2];
  if (high >= MAX_CONNECTIONS) {
    if (fits(MAX_CONNECTIONS)) return MAX_CONNECTIONS;
    high = MAX_CONNECTIONS;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}
