/**
 * Pure sums: what n connections take of a machine, with as many processes as the gateway and the load generator start by
 * themselves. All of them rise with n, so that the ceiling of a limit is the last n that fits. Sums shared with the gateway
 * and the load generator: src/config/capacity.ts.
 */
import {
  BYTES_PER_WORKER,
  DESCRIPTOR_RESERVE,
  fullestWorker,
  GENERATOR_OWN_DESCRIPTORS,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  logBytes,
  memoryOfLoad,
  THREADS_PER_GENERATOR,
  USER_BYTES_PER_CONNECTION,
  WORKER_OWN_DESCRIPTORS,
  workerCap,
  workersFor,
} from "../../src/config/capacity.js";
import type { DoctorPlan, Facts } from "../kernel/facts.js";
import { tcpKeptBytes } from "../plan.js";
import { MAX_CONNECTIONS } from "./ceiling.js";

/** Greatest --workers of the gateway and --generators of the load generator. */
export const MAX_WORKERS = 4096;
export const MAX_GENERATORS = 10_000;
/** The kernel's own hard limit where nobody set one, for sums where it could not be read. */
const KERNEL_NOFILE = 4096;
/** Supervisor and hub: each costs about what a worker does. */
const OTHER_PROCESSES = 2;
/** Counted on an idle gateway once its file reads had begun: main, V8's, the thread pool's. */
const THREADS_PER_WORKER = 11;
/** An entry of a table of tracked connections (KERNEL.md §1). */
const BYTES_PER_TRACKED_FLOW = 256;
/** The load generator's default --memory-floor: it refuses a run that would leave less. */
export const GENERATOR_MEMORY_FLOOR = 1e9;

export const hasServer = (plan: DoctorPlan): boolean => plan.side !== "client";
export const hasClient = (plan: DoctorPlan): boolean => plan.side !== "server";
/** Socket ends of one connection that are on this machine. */
export const endsOf = (plan: DoctorPlan): number => (plan.side === "both" ? 2 : 1);

/** Descriptors that one process for a share of n connections will have: its own limit, or a raised one where it may. */
export function nofileFor(n: number, facts: Facts): number {
  const own = facts.nofile?.hard ?? KERNEL_NOFILE;
  const wanted = descriptorsWanted(n, facts);
  const ceiling = numberOf(facts, "fs.nr_open") ?? own;
  return facts.raisesLimits && wanted > own && wanted <= ceiling ? wanted : Math.min(own, ceiling);
}

/** The limit under which one worker for each core is enough. */
export const descriptorsWanted = (n: number, { cores }: Facts): number =>
  fullestWorker(n, cores) + WORKER_OWN_DESCRIPTORS + DESCRIPTOR_RESERVE;

/** Supervisor and hub have a descriptor for each worker (counted with twelve: 20 and 22 beside them). */
export const maxWorkers = (facts: Facts): number =>
  Math.min(MAX_WORKERS, workerCap(facts.nofile?.hard ?? KERNEL_NOFILE));

/** What to ask for: enough for one worker a core, or where that is beyond fs.nr_open, as much as this allows. */
export function nofileNeeded(n: number, facts: Facts): number {
  const ceiling = numberOf(facts, "fs.nr_open") ?? Number.POSITIVE_INFINITY;
  const min = fullestWorker(n, MAX_WORKERS) + WORKER_OWN_DESCRIPTORS + DESCRIPTOR_RESERVE;
  return Math.max(min, Math.min(descriptorsWanted(n, facts), ceiling));
}

export const workersOf = (n: number, facts: Facts): number => workersFor(n, facts.cores, nofileFor(n, facts));

export const generatorsOf = (n: number, facts: Facts): number =>
  Math.max(facts.cores, Math.ceil(n / Math.max(1, (facts.nofile?.hard ?? KERNEL_NOFILE) - GENERATOR_OWN_DESCRIPTORS)));

export function tasksOf(n: number, facts: Facts, plan: DoctorPlan): number {
  const server = hasServer(plan) ? (workersOf(n, facts) + OTHER_PROCESSES) * THREADS_PER_WORKER : 0;
  // The coordinator is one process more.
  const client = hasClient(plan) ? (generatorsOf(n, facts) + 1) * THREADS_PER_GENERATOR : 0;
  return server + client;
}

/** Bytes of kernel and user memory, by the measured cost of a connection and of a process. */
export function bytesOf(n: number, facts: Facts, plan: DoctorPlan): number {
  const flows = facts.tracking?.live === true ? n * BYTES_PER_TRACKED_FLOW : 0;
  // The log of topics, as it is where they remember little; what topics of one user need more is in `megagate plan`.
  const gateway = hasServer(plan) ? (workersOf(n, facts) + OTHER_PROCESSES) * BYTES_PER_WORKER + logBytes(0) : 0;
  if (!hasClient(plan)) return n * (KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION) + gateway + flows;
  return memoryOfLoad(n, generatorsOf(n, facts), plan.side === "both") + gateway + flows;
}

/** Pages of net.ipv4.tcp_mem that n connections keep, before Linux 6.0. */
export const tcpPagesKept = (n: number, { kernel, pageBytes }: Facts, plan: DoctorPlan): number =>
  Math.ceil(tcpKeptBytes(n * endsOf(plan), kernel, pageBytes) / pageBytes);

/** The numbers of a setting; undefined where it could not be read. */
export function numbersOf(facts: Facts, key: string): readonly number[] | undefined {
  const reading = facts.settings.get(key);
  if (reading === undefined || !("text" in reading)) return undefined;
  const numbers = reading.text.split(/\s+/).map(Number);
  return numbers.every(Number.isFinite) ? numbers : undefined;
}

export const numberOf = (facts: Facts, key: string): number | undefined => numbersOf(facts, key)?.[0];

/** The last n that fits, for a condition that holds up to it and not beyond; MOST_CONNECTIONS where it never ends. */
export function largest(fits: (n: number) => boolean): number {
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
