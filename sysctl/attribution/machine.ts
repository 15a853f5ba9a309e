/**
 * The machine under a running gateway: its first ceiling at the start, every known ceiling while it runs, and the mechanism that
 * stops it when one does. Runs in the supervisor, which forks the workers, so that limits, control groups and network namespace
 * are theirs. It implements the `machine` that src/supervision/machine-monitor.ts asks for; only commands/ connects the two.
 */
import { totalmem } from "node:os";
import { ceilingsOf } from "../doctor/ceilings.js";
import { machineCeiling } from "../doctor/machine-ceiling.js";
import { survey } from "../doctor/survey.js";
import type { MachineFacts } from "../kernel/facts.js";
import { KernelFiles } from "../kernel/files.js";
import { coresOf, processorShare } from "../kernel/processors.js";
import { type Snapshot, takeSnapshot } from "./counters.js";
import { type LimitChanges, LimitWatch, type LoadSample } from "./watch.js";

/** Fewer entries than this may come from other programs. */
const PROOF = 64;

export interface ObservedMachine {
  /** Processors that this process may use, possibly a fraction where a CPU quota bounds. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly first: ReturnType<typeof machineCeiling>;
  /** Limit → the count at which it bites, where `open` of the used connections are ours; unknown limits are left out. */
  ceilings(open: number): Readonly<Record<string, number>>;
  /** Once a second. */
  sample(load: LoadSample): LimitChanges;
  /** Limit → samples in which it was at work. */
  readonly limitEvents: Readonly<Record<string, number>>;
}

export function observeMachine(connections: number, listenPorts: readonly number[], root = "/"): ObservedMachine {
  const plan = { connections, listenPorts, side: "server", sources: 0, destinations: 1 } as const;
  const files = new KernelFiles(root);
  const { opensBeyondFileMax, processors, memory, groupMemory } = survey(root);
  // A process that is exempt from fs.file-max is never stopped by it.
  const kernel = (): Snapshot => {
    const seen = takeSnapshot(files);
    return opensBeyondFileMax ? { ...seen, filesMax: Number.NaN } : seen;
  };
  const watch = new LimitWatch(kernel, coresOf(processors));
  return {
    cpus: processorShare(processors),
    memoryBytes: Math.min(memory?.totalBytes ?? totalmem(), groupMemory?.limit ?? Number.POSITIVE_INFINITY),
    first: machineCeiling(connections, listenPorts, root),
    ceilings(open) {
      const known = ceilingsOf(withTracking(survey(root), open), { ...plan, open });
      const bounds = known.flatMap(({ limit, counts, connections: n }) => (counts && n !== null ? [[limit, n]] : []));
      return Object.fromEntries(bounds) as Record<string, number>;
    },
    sample: (load) => watch.sample(load),
    get limitEvents() {
      return Object.fromEntries(watch.counts);
    },
  };
}

/** Whether connections are tracked, judged by the gateway's own: as many entries prove it, none at all proves the contrary. */
export function withTracking(facts: MachineFacts, open: number): MachineFacts {
  const { tracking } = facts;
  if (tracking === null || open < PROOF) return facts;
  const { entries } = tracking;
  const live = entries >= open ? true : entries === 0 ? false : tracking.live;
  return { ...facts, tracking: { entries, live } };
}
