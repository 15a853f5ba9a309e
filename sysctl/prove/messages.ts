/**
 * What the proof's processes say to each other over their forks' channels. Plain data only. Runs in all of them.
 *
 *   prove ── stage (in a new namespace) ──┬── acceptors, one listening address and port
 *     │                                   └── connectors, each with a source address of its own
 *     └── keeper (detached, in the host's namespace; by its own pipe, see keeper.ts)
 */

/** One act, as the stage is to play it. */
export interface ProofSetup {
  readonly tracked: boolean;
  readonly connections: number;
  /** Acceptors, and as many connectors. */
  readonly holders: number;
  readonly connectTimeoutMs: number;
}

export type StageReport =
  | { readonly kind: "progress"; readonly counts: HolderCounts }
  | { readonly kind: "done"; readonly finding: Finding }
  /** The machine lacks something: the detail says what, and the remedy. */
  | { readonly kind: "refused"; readonly detail: string }
  | { readonly kind: "failed"; readonly detail: string };

/** What was found when everything had come to rest; counts of connections unless said otherwise. */
export interface Finding {
  /** Connects that succeeded and were still open at the end, by the connectors. */
  readonly open: number;
  /** The same by the acceptors. */
  readonly accepted: number;
  /** TCP sockets in ESTABLISHED by the kernel (CurrEstab): both ends, so twice the connections. */
  readonly established: number;
  /** Connects that were neither answered nor refused until the time-out. */
  readonly timedOut: number;
  /** Connects that ended with an error, by its name. */
  readonly errors: Readonly<Record<string, number>>;
  /** Entries in the namespace's connection-tracking table. */
  readonly tracked: number;
  /** Packets that the kernel says it dropped because the table was full; null where it does not say. */
  readonly dropped: number | null;
  /** From the first connect until the last one was open or had timed out. */
  readonly seconds: number;
}

export interface HolderCounts {
  readonly open: number;
  readonly timedOut: number;
  readonly errors: Readonly<Record<string, number>>;
  /** No connect is in flight and none will be begun. */
  readonly settled: boolean;
}

export type HolderConfig =
  | { readonly kind: "accept"; readonly port: number }
  | {
      readonly kind: "connect";
      readonly port: number;
      readonly source: string;
      readonly connections: number;
      readonly timeoutMs: number;
    };

export type HolderReport = { readonly kind: "ready" } | { readonly kind: "counts"; readonly counts: HolderCounts };

export const noCounts = (): HolderCounts => ({ open: 0, timedOut: 0, errors: {}, settled: true });

export function addCounts(all: readonly HolderCounts[]): HolderCounts {
  const errors: Record<string, number> = {};
  for (const counts of all) {
    for (const [name, n] of Object.entries(counts.errors)) errors[name] = (errors[name] ?? 0) + n;
  }
  return {
    open: all.reduce((sum, counts) => sum + counts.open, 0),
    timedOut: all.reduce((sum, counts) => sum + counts.timedOut, 0),
    errors,
    settled: all.every((counts) => counts.settled),
  };
}
