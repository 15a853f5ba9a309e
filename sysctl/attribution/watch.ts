/**
 * Watches a running gateway for the mechanism that stops it: what the kernel's counters gained since the last look, and what
 * the gateway counted, put to the causes of causes.ts. Says when one begins to bite and when it is over, and counts the looks
 * that found it. Pure but for the clock and the counters it is handed; the gateway looks once a second.
 */
import { attribute, type Cause } from "./attribute.js";
import type { Snapshot, SnapshotName } from "./counters.js";
import type { Circumstances, GatewayNumbers } from "./proofs.js";

/** So long without a sign, and it is over: an overflowing queue is quiet between two storms of the same night. */
const QUIET_MS = 10_000;
/** Cores are busy and loops late for a moment in every broadcast: only what lasts is worth a line. */
const DOUBTFUL_SAMPLES = 5;
/** An event loop that is so late is a part of what clients wait for. */
const LATE_SECONDS = 0.25;

/** The causes that a gateway can see by itself; of the others clients' errors tell. */
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

/** What the gateway knows of itself, at one moment. */
export interface LoadSample {
  readonly connections: number;
  readonly workers: number;
  readonly workersListening: number;
  /** Handshakes refused because every worker was at its cap, since it started. */
  readonly refusedFull: number;
  /** The worst event loop's delay in the last second. */
  readonly lagSeconds: number;
  /** Connections that all workers may hold, and the limit that decides it. */
  readonly cap: { readonly connections: number; readonly limit: string };
}

export interface Over {
  readonly id: string;
  readonly seconds: number;
}

export interface Look {
  readonly began: readonly Cause[];
  readonly over: readonly Over[];
}

interface Episode {
  readonly sinceMs: number;
  lastMs: number;
  samples: number;
  told: boolean;
}

export class Watch {
  readonly #episodes = new Map<string, Episode>();
  #before: Snapshot;
  #refusedBefore: number | undefined;

  /** Looks that found a limit at work, since this began: by the names of `megagate doctor`'s ceilings where it has one. */
  readonly counts = new Map<string, number>(WATCHED.map((id) => [id, 0]));

  constructor(
    private readonly kernel: () => Snapshot,
    private readonly cores: number,
  ) {
    this.#before = kernel();
  }

  sample(present: LoadSample, nowMs = performance.now()): Look {
    const now = this.kernel();
    const grown = difference(now, this.#before);
    this.#before = now;
    const found = attribute(this.#view(present, now, grown), new Map()).filter(({ id }) => WATCHED.includes(id));
    const began = found.filter((cause) => this.#sees(cause, nowMs));
    return { began, over: this.#ended(nowMs) };
  }

  /** True when it is to be told: at once if it is sure, else when it lasts. */
  #sees({ id, certainty }: Cause, nowMs: number): boolean {
    const episode = this.#episodes.get(id) ?? { sinceMs: nowMs, lastMs: nowMs, samples: 0, told: false };
    this.#episodes.set(id, episode);
    episode.lastMs = nowMs;
    episode.samples += 1;
    const sure = certainty !== "possible" || episode.samples >= DOUBTFUL_SAMPLES;
    if (sure) this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    const begins = sure && !episode.told;
    episode.told ||= begins;
    return begins;
  }

  #ended(nowMs: number): Over[] {
    const over: Over[] = [];
    for (const [id, { sinceMs, lastMs, told }] of this.#episodes) {
      if (nowMs - lastMs < (told ? QUIET_MS : 1)) continue;
      this.#episodes.delete(id);
      if (told) over.push({ id, seconds: Math.round((lastMs - sinceMs) / 1000) });
    }
    return over;
  }

  #view(present: LoadSample, now: Snapshot, grown: Snapshot): Parameters<typeof attribute>[0] {
    const { connections, workers, workersListening, cap } = present;
    const refusedFull = present.refusedFull - (this.#refusedBefore ?? present.refusedFull);
    this.#refusedBefore = present.refusedFull;
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
    const isLate = present.lagSeconds >= LATE_SECONDS;
    return {
      run: { ...ITSELF, cores: this.cores },
      open: connections,
      failed: {},
      grown,
      peak: now,
      gateway,
      busy: isLate && grown.cpuTicks > 0 ? grown.cpuBusyTicks / grown.cpuTicks : 0,
      perSecond: { before: Number.NaN, after: Number.NaN },
      // The gateway has no floor of its own: what memory leaves is a ceiling, and a gauge.
      memory: { freeBytes: Number.POSITIVE_INFINITY, floorBytes: 0 },
    };
  }
}

/** No client end is ours to judge, so nothing of theirs can be a cause. */
const ITSELF: Circumstances = {
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
