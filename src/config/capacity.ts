/**
 * Pure sums: connections to workers, descriptors and memory. The gateway, the load generator and the tuning table use
 * the same ones, so that a plan on one side is a plan on the other. Sources: KERNEL.md facts 1, 2 and §2 (measured).
 */

/** Descriptors a worker keeps for itself: 20–25 when idle (measured), and slack for files opened in passing. */
export const WORKER_OWN_DESCRIPTORS = 60;
/** Held back below the limit: at the limit accept() fails with EMFILE and uWebSockets spins at 100 % CPU. */
export const DESCRIPTOR_RESERVE = 40;

/** The most client descriptors one worker may hold under a limit of `nofile`. */
export function workerCap(nofile: number): number {
  return Math.max(1, nofile - WORKER_OWN_DESCRIPTORS - DESCRIPTOR_RESERVE);
}

/** What all processes of a gateway share, beside each one's own descriptor limit. Infinity where nothing bounds. */
export interface SharedLimits {
  /** fs.epoll.max_user_watches: one for each socket, over all processes of a user, root too. */
  readonly epollWatches: number;
  /** What fs.file-max leaves beside the files that are open now; root is exempt. */
  readonly filesLeft: number;
}

/** Epoll watches of a process beside its sockets: 7 to 9 when idle (measured), two more where it is linked to. */
const OWN_WATCHES = 16;
/** Supervisor and hub, and the admin port's clients. */
const HUB_WATCHES = 2 * OWN_WATCHES + 64;
const HUB_DESCRIPTORS = 2 * WORKER_OWN_DESCRIPTORS;

/** As `megagate doctor` names its ceilings; "worker-connections" is the user's own wish. */
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
 * The most that each of `workers` may hold, so that neither one of them meets its own limit nor all together a shared one:
 * beyond the first accept() spins (KERNEL.md §3.2), beyond the user's epoll watches a worker aborts. Below 1 where the
 * shared limits leave no room at all.
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

/** Connections that a full worker takes beyond its cap to refuse them: enough for a burst, few beside the cap's memory. */
const OVERFLOW = 512;

/** How many those are for a worker of cap `cap` that could hold `most`: the reserve is there in any case. */
export function overflowRoom(cap: number, max: number): number {
  return DESCRIPTOR_RESERVE + Math.max(0, Math.min(OVERFLOW, max - cap));
}

/**
 * The connections that the fullest of `workers` is expected to hold: SO_REUSEPORT spreads binomially, and five standard
 * deviations above the mean is met less than once in a million runs.
 */
export function fullestWorker(connections: number, workers: number): number {
  const mean = connections / workers;
  return Math.ceil(mean + 5 * Math.sqrt(mean));
}

/** The fewest workers, at least one a core or a part of one (a CPU quota), whose fullest stays within its cap. */
export function workersFor(connections: number, cores: number, nofile: number): number {
  const cap = workerCap(nofile);
  let workers = Math.max(1, Math.ceil(cores));
  while (fullestWorker(connections, workers) > cap && workers < connections) workers++;
  return workers;
}

/**
 * Kernel memory of one socket end, bytes: slab objects with their packing (KERNEL.md §2, Linux 6.18). The growth of every
 * slab cache under 18,000 connections with both ends here came to 8,350 each beside /proc's own, which are not the
 * sockets': whoever walks /proc/PID/fd leaves 1,760 more.
 */
export const KERNEL_BYTES_PER_SERVER_SOCKET = 4040;
export const KERNEL_BYTES_PER_CLIENT_SOCKET = 4290;
/** User memory of one gateway connection with one shared subscription, bytes (measured at a million, README). */
export const USER_BYTES_PER_CONNECTION = 1000;
/** Private memory of one idle worker, bytes. */
export const BYTES_PER_WORKER = 12e6;

/** Descriptors that a load generator keeps for itself: about 25, and slack. */
export const GENERATOR_OWN_DESCRIPTORS = 100;
/** Threads of one Node process that has been told to keep few. */
export const THREADS_PER_GENERATOR = 8;
/** Private memory of one load generator, and of one socket in it: 14.5 MB with 18,000 sockets were measured. */
const BYTES_PER_GENERATOR = 14e6;
const GENERATOR_BYTES_PER_CONNECTION = 100;

/** Bytes that a load of `connections` takes, with the gateway's end of each where it runs on this machine too. */
export function memoryOfLoad(connections: number, generators: number, colocated: boolean): number {
  const client = KERNEL_BYTES_PER_CLIENT_SOCKET + GENERATOR_BYTES_PER_CONNECTION;
  const server = colocated ? KERNEL_BYTES_PER_SERVER_SOCKET + USER_BYTES_PER_CONNECTION : 0;
  return Math.ceil(connections * (client + server) + generators * BYTES_PER_GENERATOR);
}

/** A topic of one user with one keyed publication in the hub, bytes: 1,170 measured, and its place in the log's images. */
const TOPIC_BYTES_PER_CONNECTION = 1280;
const MIN_TOPIC_MEMORY_BYTES = 268_435_456;

/** --topic-memory-bytes, or where that is 0 room for one topic of its own for each of --connections. */
export function topicMemoryBytes({
  topicMemoryBytes: asked,
  connections,
}: {
  topicMemoryBytes: number;
  connections: number;
}): number {
  return asked || Math.max(MIN_TOPIC_MEMORY_BYTES, connections * TOPIC_BYTES_PER_CONNECTION);
}

/** A file of the log is left for the other beyond this, or beyond twice its images where these are larger, bytes. */
export const LOG_SWITCH_BYTES = 67_108_864;

/**
 * The most that the log takes in memory files, where images of all topics have `imageBytes`: the file that is full, and the other one with its images.
 * Shared memory, which control groups count.
 */
export const logBytes = (imageBytes: number): number =>
  Math.max(LOG_SWITCH_BYTES, 2 * imageBytes) + LOG_SWITCH_BYTES / 4 + imageBytes;

/** The most workers of one gateway: `--workers` goes no further. */
export const MAX_WORKERS = 4096;
/** Connections a second that a gateway takes back for each core, until it has measured it: half of what was seen on two (README). */
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
