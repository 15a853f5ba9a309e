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

/**
 * The connections that the fullest of `workers` is expected to hold: SO_REUSEPORT spreads binomially, and five standard
 * deviations above the mean is met less than once in a million runs.
 */
export function fullestWorker(connections: number, workers: number): number {
  const mean = connections / workers;
  return Math.ceil(mean + 5 * Math.sqrt(mean));
}

/** The fewest workers, at least one a core, whose fullest stays within its cap. */
export function workersFor(connections: number, cores: number, nofile: number): number {
  const cap = workerCap(nofile);
  let workers = Math.max(1, cores);
  while (fullestWorker(connections, workers) > cap && workers < connections) workers++;
  return workers;
}

/** Kernel memory of one socket end, bytes: slab objects with their packing (KERNEL.md §2, Linux 6.18). */
export const KERNEL_BYTES_PER_SERVER_SOCKET = 4040;
export const KERNEL_BYTES_PER_CLIENT_SOCKET = 4290;
/** User memory of one gateway connection with one shared subscription, bytes (measured at a million, README). */
export const USER_BYTES_PER_CONNECTION = 1000;
/** Private memory of one idle worker, bytes. */
export const BYTES_PER_WORKER = 12e6;

/** The most workers of one gateway: `--workers` goes no further. */
export const MOST_WORKERS = 4096;
/** Connections a second that a gateway on two cores takes back, for the window that clients are given (README, measured). */
export const RETURN_RATE = 10_000;
/** Goodbyes a second on two cores shared with the clients: 200,000 took 5.6 s (measured). */
export const GOODBYE_RATE = 35_000;
/** Sockets that may stall at the same moment: an assumption, generous where slow readers are closed at 32 KiB. */
export const STALLED_SHARE = 1 / 20;
/** Kernel queue of one stalled socket with tcp_notsent_lowat at 16,384, bytes: 20 to 29 KB measured. */
export const STALLED_QUEUE_BYTES = 29_000;

/** Splits `total` into `parts` whole numbers that differ by one at most and add up exactly. */
export function spread(total: number, parts: number): number[] {
  const least = Math.floor(total / parts);
  return Array.from({ length: parts }, (_, i) => least + (i < total % parts ? 1 : 0));
}
