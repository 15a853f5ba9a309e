/**
 * Pure sums: connections to workers, descriptors and memory. The gateway, the load generator, the doctor and the tuning table
 * all use these, so that their plans agree. Measured: src/README.md facts 1, 2, 11, 12 and 24.
 */

/** Descriptors that a worker needs besides its connections: 20–25 when idle (measured), and slack for files opened briefly. */
export const WORKER_OWN_DESCRIPTORS = 60;
/** Descriptors below the limit that stay unused: at the limit uWebSockets spins at 100 % CPU (src/README.md fact 11). */
export const DESCRIPTOR_RESERVE = 40;

/** The maximum number of connections of one worker under a descriptor limit of `nofile`. */
export function workerCap(nofile: number): number {
  return Math.max(1, nofile - WORKER_OWN_DESCRIPTORS - DESCRIPTOR_RESERVE);
}

/** Limits that all processes of a gateway share, besides each one's own descriptor limit. Infinity where nothing bounds. */
export interface SharedLimits {
  /** fs.epoll.max_user_watches: one for each socket, over all processes of a user, root too. */
  readonly epollWatches: number;
  /** Files that fs.file-max allows besides those that are open now; root is exempt. */
  readonly filesLeft: number;
}

/** Epoll watches of a process besides its sockets: 7 to 9 when idle (measured), two more for each link. */
const OWN_WATCHES = 16;
/** Supervisor and hub, and the admin port's clients. */
const HUB_WATCHES = 2 * OWN_WATCHES + 64;
const HUB_DESCRIPTORS = 2 * WORKER_OWN_DESCRIPTORS;

/** The names are those of `megagate doctor`'s ceilings; "worker-connections" is the option of that name. */
export type CapLimit =
  | "descriptors"
  | "epoll-watches"
  | "file-max"
  | "worker-connections"
  | "max-connections"
  | "memory";

/** Connections at which one worker stops listening, and the limit that decides it. */
export interface Cap {
  readonly connections: number;
  readonly limit: CapLimit;
}

/**
 * The maximum that each of `workers` may hold without meeting its own limit or, all together, a shared one: beyond its
 * descriptor limit a worker spins (src/README.md fact 11), beyond the user's epoll watches it aborts (fact 20). Below 1 where
 * the shared limits leave nothing.
 */
export function tightestCap(workers: number, nofile: number, shared: SharedLimits): Cap {
  const each = (total: number, ofHub: number, ofWorker: number): number =>
    Math.floor((total - ofHub) / workers) - ofWorker - DESCRIPTOR_RESERVE;
  const caps: Cap[] = [
    { limit: "descriptors", connections: workerCap(nofile) },
    { limit: "epoll-watches", connections: each(shared.epollWatches, HUB_WATCHES, OWN_WATCHES) },
    { limit: "file-max", connections: each(shared.filesLeft, HUB_DESCRIPTORS, WORKER_OWN_DESCRIPTORS) },
  ];
  return caps.reduce((a, b) => (b.connections < a.connections ? b : a));
}

/** Connections that a full worker accepts beyond its cap, only to refuse them: enough for a burst, little memory. */
const OVERFLOW = 512;

/** How many those are for a worker with cap `cap` that could hold `max`: at least the descriptor reserve. */
export function overflowRoom(cap: number, max: number): number {
  return DESCRIPTOR_RESERVE + Math.max(0, Math.min(OVERFLOW, max - cap));
}

/**
 * The connections that the fullest of `workers` is expected to hold: SO_REUSEPORT spreads binomially (src/README.md fact 1),
 * and a worker exceeds the mean by five standard deviations less than once in a million runs.
 */
export function fullestWorker(connections: number, workers: number): number {
  const mean = connections / workers;
  return Math.ceil(mean + 5 * Math.sqrt(mean));
}

/** The minimum number of workers, at least one for each (started) core, whose fullest stays within its cap. */
export function workersFor(connections: number, cores: number, nofile: number): number {
  const cap = workerCap(nofile);
  let workers = Math.max(1, Math.ceil(cores));
  while (fullestWorker(connections, workers) > cap && workers < connections) workers++;
  return workers;
}

/**
 * Kernel memory of one socket end, bytes: slab objects with their packing, on Linux 6.18 (src/README.md fact 12). With 18,000
 * connections and both ends here all slab caches together grew by 8,350 for each; a program that walks /proc/PID/fd leaves
 * 1,760 more (fact 13), which are not counted here.
 */
export const KERNEL_BYTES_PER_SERVER_SOCKET = 4040;
export const KERNEL_BYTES_PER_CLIENT_SOCKET = 4290;
/** User memory of one gateway connection with one shared subscription, bytes (measured at a million, load/results). */
export const USER_BYTES_PER_CONNECTION = 1000;
/** Private memory of one idle worker, bytes. */
export const BYTES_PER_WORKER = 12e6;

/** Descriptors that a load generator needs besides its connections: about 25, and slack. */
export const GENERATOR_OWN_DESCRIPTORS = 100;
/** Threads of one Node process with a small thread pool. */
export const THREADS_PER_GENERATOR = 8;
/** Private memory of one load generator, and of one socket in it, bytes: 14.5 MB were measured with 18,000 sockets. */
const BYTES_PER_GENERATOR = 14e6;
const GENERATOR_BYTES_PER_CONNECTION = 100;

/** Bytes that a load of `connections` needs, including the gateway's ends where it runs on this machine too. */
export function memoryOfLoad(connections: number, generators: number, colocated: boolean): number {
  const client = KERNEL_BYTES_PER_CLIENT_SOCKET + GENERATOR_BYTES_PER_CONNECTION;
  const server = colocated ? KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION : 0;
  return Math.ceil(connections * (client + server) + generators * BYTES_PER_GENERATOR);
}

/** A topic of one user with one keyed publication in the hub, bytes: 1,170 measured, and its part of the log's images. */
const TOPIC_BYTES_PER_CONNECTION = 1280;
const MIN_TOPIC_MEMORY_BYTES = 268_435_456;

/** --topic-memory-bytes or, where that is 0, enough for one topic for each of --connections. */
export function topicMemoryBytes({
  topicMemoryBytes: asked,
  connections,
}: {
  topicMemoryBytes: number;
  connections: number;
}): number {
  return asked || Math.max(MIN_TOPIC_MEMORY_BYTES, connections * TOPIC_BYTES_PER_CONNECTION);
}

/** The log switches to its other file beyond this size, or beyond twice its images where these are larger; bytes. */
export const LOG_SWITCH_BYTES = 67_108_864;

/**
 * The maximum size of the log's memory files if the images of all topics have `imageBytes`: the full file, and the other one
 * with its images. Shared memory, which control groups count.
 */
export const logBytes = (imageBytes: number): number =>
  Math.max(LOG_SWITCH_BYTES, 2 * imageBytes) + LOG_SWITCH_BYTES / 4 + imageBytes;

/** Maximum number of workers of one gateway, and of --workers. */
export const MAX_WORKERS = 4096;
/** Reconnects a second that a gateway accepts for each core until it has measured its rate: half of what two cores did. */
export const RETURN_RATE_PER_CORE = 5_000;
/** Goodbyes a second on two cores shared with the clients: 200,000 took 5.6 s (measured). */
export const GOODBYE_RATE = 35_000;
/** Sockets that may stall at the same moment: an assumption, generous where slow readers are closed at 32 KiB. */
export const STALLED_SHARE = 1 / 20;
/** Kernel queue of one stalled socket with tcp_notsent_lowat at 16,384, bytes: 20 to 29 KB measured. */
export const STALLED_QUEUE_BYTES = 29_000;

/** Splits `total` into `parts` whole numbers that differ by one at most and add up exactly. */
export function spread(total: number, parts: number): number[] {
  const min = Math.floor(total / parts);
  return Array.from({ length: parts }, (_, i) => min + (i < total % parts ? 1 : 0));
}
