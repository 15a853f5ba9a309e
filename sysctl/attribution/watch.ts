/**
 * Watches a running gateway for the mechanism that stops it. Once a second it gives the growth of the kernel's counters and the
 * gateway's own numbers to the causes of causes.ts, and reports when a cause begins to bite and when it is over. Runs in the
 * supervisor. Pure except for the clock and the counters that it is given.
 */
import { attribute, type Cause } from "./attribute.js";
import type { Snapshot, SnapshotName } from "./counters.js";
import type { Circumstances, GatewayNumbers } from "./proofs.js";

/** A cause is over after this time without a sign: an overflowing queue is quiet between two storms of the same night. */
const QUIET_MS = 10_000;
/** A possible cause is reported after this many samples: in every broadcast cores are busy and loops late for a moment. */
const DOUBTFUL_SAMPLES = 5;
/** An event loop delay from which on clients notice it. */
const LATE_SECONDS = 0.25;

/** The causes that a gateway can see by itself; the others show only in clients' errors. */
export const WATCHED: readonly string[] = [
  "accept-queue",
  "conntrack",
  "cpu",
  "descriptors",
  "epoll-watches",
  "file-max",
  "orphans",
  "packet-backlog",
  "tcp-mem",
  "worker-connections",
];

/** The gateway's own numbers at one moment. */
export interface LoadSample {
  readonly connections: number;
  readonly workers: number;
  readonly workersListening: number;
  /** Handshakes refused because every worker was at its cap, since it started. */
  readonly refusedFull: number;
  /** The worst event loop's delay in the last second. */
  readonly lagSeconds: number;
  /** Connections that all workers may hold together, and the limit that decides it. */
  readonly cap: { readonly connections: number; readonly limit: string };
}

export interface EndedLimit {
  readonly id: string;
  readonly seconds: number;
}

export interface LimitChanges {
  readonly began: readonly Cause[];
  readonly over: readonly EndedLimit[];
}

interface Episode {
  readonly sinceMs: number;
  lastMs: number;
  samples: number;
  reported: boolean;
}

export class LimitWatch {
  readonly #takeSnapshot: () => Snapshot;
  readonly #cores: number;
  readonly #episodes = new Map<string, Episode>();
  #before: Snapshot;
  #refusedBefore: number | undefined;

  /** Cause → samples in which it was at work, since the gateway's start; named like `megagate doctor`'s ceilings. */
  readonly counts = new Map<string, number>(WATCHED.map((id) => [id, 0]));

  constructor(takeSnapshot: () => Snapshot, cores: number) {
    this.#takeSnapshot = takeSnapshot;
    this.#cores = cores;
    this.#before = takeSnapshot();
  }

  sample(load: LoadSample, nowMs = performance.now()): LimitChanges {
    const now = this.#takeSnapshot();
    const grown = difference(now, this.#before);
    this.#before = now;
    const found = attribute(this.#view(load, now, grown), new Map()).filter(({ id }) => WATCHED.includes(id));
    const began = found.filter((cause) => this.#begins(cause, nowMs));
    return { began, over: this.#ended(nowMs) };
  }

  /** True when the cause must be reported: at once if it is certain, otherwise once it lasts. */
  #begins({ id, certainty }: Cause, nowMs: number): boolean {
    const episode = this.#episodes.get(id) ?? { sinceMs: nowMs, lastMs: nowMs, samples: 0, reported: false };
    this.#episodes.set(id, episode);
    episode.lastMs = nowMs;
    episode.samples += 1;
    const certain = certainty !== "possible" || episode.samples >= DOUBTFUL_SAMPLES;
    if (certain) this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    const begins = certain && !episode.reported;
    episode.reported ||= begins;
    return begins;
  }

  #ended(nowMs: number): EndedLimit[] {
    const over: EndedLimit[] = [];
    for (const [id, { sinceMs, lastMs, reported }] of this.#episodes) {
      if (nowMs - lastMs < (reported ? QUIET_MS : 1)) continue;
      this.#episodes.delete(id);
      if (reported) over.push({ id, seconds: Math.round((lastMs - sinceMs) / 1000) });
    }
    return over;
  }

  #view(load: LoadSample, now: Snapshot, grown: Snapshot): Parameters<typeof attribute>[0] {
    const { connections, workers, workersListening, cap } = load;
    const refusedFull = load.refusedFull - (this.#refusedBefore ?? load.refusedFull);
    this.#refusedBefore = load.refusedFull;
    const gateway: GatewayNumbers = {
      connections,
      workers,
      workersExpected: workers,
      workersListening,
      refusedFull,
      restarts: 0,
      cap: cap.connections,
      capLimit: cap.limit,
      descriptorsLeft: Number.NaN,
    };
    const isLate = load.lagSeconds >= LATE_SECONDS;
    return {
      run: { ...NO_LOAD_RUN, cores: this.#cores },
      open: connections,
      failed: {},
      grown,
      peak: now,
      gateway,
      busy: isLate && grown.cpuTicks > 0 ? grown.cpuBusyTicks / grown.cpuTicks : 0,
      perSecond: { before: Number.NaN, after: Number.NaN },
      // The gateway has no memory floor here: the doctor's ceiling and a metric cover memory.
      memory: { freeBytes: Number.POSITIVE_INFINITY, floorBytes: 0 },
    };
  }
}

/** A gateway judges no client ends, so nothing at the clients can be a cause. */
const NO_LOAD_RUN: Circumstances = {
  target: 0,
  colocated: true,
  cores: 1,
  generators: 0,
  nofile: 0,
  sources: 0,
  ports: 0,
  wholeRange: true,
};

function difference(a: Snapshot, b: Snapshot): Snapshot {
  const names = Object.keys(a) as SnapshotName[];
  return Object.fromEntries(names.map((name) => [name, a[name] - b[name]])) as unknown as Snapshot;
}
