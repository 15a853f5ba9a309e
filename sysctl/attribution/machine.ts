/**
 * This machine as a running gateway sees it: its first ceiling at start, every known ceiling while it runs, and what stops it
 * when something does. The command line makes it and hands it to the supervisor, which forks the workers, so that limits,
 * groups and network namespace are theirs.
 */
import { totalmem } from "node:os";
import { ceilingsOf } from "../doctor/ceilings.js";
import { machineCeiling } from "../doctor/machine-ceiling.js";
import { survey } from "../doctor/survey.js";
import type { Facts } from "../kernel/facts.js";
import { KernelFiles } from "../kernel/files.js";
import { coresOf, shareOf } from "../kernel/processors.js";
import { type Snapshot, takeSnapshot } from "./counters.js";
import { type LoadSample, type Look, Watch } from "./watch.js";

/** Fewer entries than this may be anybody's. */
const PROOF = 64;

export interface Machine {
  /** Processors that this process may use: a fraction where a CPU quota makes it one. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly first: ReturnType<typeof machineCeiling>;
  /** Limit → the count at which it bites, with `open` connections of ours among what is used; unknown ones left out. */
  ceilings(open: number): Readonly<Record<string, number>>;
  /** Once a second. */
  sample(present: LoadSample): Look;
  /** Looks that found each limit at work. */
  readonly limitEvents: Readonly<Record<string, number>>;
}

export function openMachine(connections: number, listenPorts: readonly number[], root = "/"): Machine {
  const plan = { connections, listenPorts, side: "server", sources: 0, destinations: 1 } as const;
  const files = new KernelFiles(root);
  const { opensBeyondFileMax, processors, memory, groupMemory } = survey(root);
  // Who is exempt from a limit is not stopped by it.
  const kernel = (): Snapshot => {
    const seen = takeSnapshot(files);
    return opensBeyondFileMax ? { ...seen, filesMax: Number.NaN } : seen;
  };
  const watch = new Watch(kernel, coresOf(processors));
  return {
    cpus: shareOf(processors),
    memoryBytes: Math.min(memory?.totalBytes ?? totalmem(), groupMemory?.limit ?? Number.POSITIVE_INFINITY),
    first: machineCeiling(connections, listenPorts, root),
    ceilings(open) {
      const known = ceilingsOf(withTracking(survey(root), open), { ...plan, open });
      const bounds = known.flatMap(({ limit, counts, connections: n }) => (counts && n !== null ? [[limit, n]] : []));
      return Object.fromEntries(bounds) as Record<string, number>;
    },
    sample: (present) => watch.sample(present),
    get limitEvents() {
      return Object.fromEntries(watch.counts);
    },
  };
}

/** Whether connections are tracked, by the gateway's own: as many entries are proof, none at all is proof of the contrary. */
export function withTracking(facts: Facts, open: number): Facts {
  const { tracking } = facts;
  if (tracking === null || open < PROOF) return facts;
  const { entries } = tracking;
  const live = entries >= open ? true : entries === 0 ? false : tracking.live;
  return { ...facts, tracking: { entries, live } };
}
