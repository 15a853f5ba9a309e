/**
 * The messages between the proof's processes, over their IPC channels. Plain data only; used in all of them.
 *
 *   prove ── step process (in a new namespace) ──┬── holders of the server's ends, one listening address and port
 *     │                                          └── holders of the clients' ends, each with its own source address
 *     └── keeper (detached, in the host's namespace; over its own pipe, see keeper.ts)
 */

/** What the step process must do: one step of the proof. */
export interface StepConfig {
  readonly tracked: boolean;
  readonly connections: number;
  /** Processes with server's ends, and as many with clients' ends. */
  readonly holders: number;
  readonly connectTimeoutMs: number;
}

export type StepReport =
  | { readonly type: "progress"; readonly counts: HolderCounts }
  | { readonly type: "done"; readonly finding: StepFinding }
  /** The machine lacks something: `detail` names it and the remedy. */
  | { readonly type: "refused"; readonly detail: string }
  | { readonly type: "failed"; readonly detail: string };

/** The counts once no connect was in flight any more; connections, where no other unit is given. */
export interface StepFinding {
  /** Connections that were open at the end, by the clients' count. */
  readonly open: number;
  /** The same by the servers' count. */
  readonly accepted: number;
  /** TCP sockets in ESTABLISHED by the kernel (CurrEstab): both ends, so twice the connections. */
  readonly established: number;
  /** Connects that were neither answered nor refused until the time-out. */
  readonly timedOut: number;
  /** Connects that ended with an error, by its name. */
  readonly errors: Readonly<Record<string, number>>;
  /** Entries in the namespace's connection-tracking table. */
  readonly tracked: number;
  /** Packets that the kernel dropped because the table was full; null where it does not report them. */
  readonly dropped: number | null;
  /** From the first connect until the last one was open or had timed out. */
  readonly seconds: number;
}

export interface HolderCounts {
  readonly open: number;
  readonly timedOut: number;
  readonly errors: Readonly<Record<string, number>>;
  /** No connect is in flight and none will be started. */
  readonly settled: boolean;
}

export type HolderConfig =
  | { readonly type: "accept"; readonly port: number }
  | {
      readonly type: "connect";
      readonly port: number;
      readonly source: string;
      readonly connections: number;
      readonly timeoutMs: number;
    };

export type HolderReport = { readonly type: "ready" } | { readonly type: "counts"; readonly counts: HolderCounts };

export const noHolderCounts = (): HolderCounts => ({ open: 0, timedOut: 0, errors: {}, settled: true });

export function addHolderCounts(all: readonly HolderCounts[]): HolderCounts {
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
