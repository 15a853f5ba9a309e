/**
 * What must hold before a proof starts: each fault with its remedy. Pure; runs in the command line. The proof changes one value
 * of the whole host for a moment, so it is strict: it does not start where connections of other programs are tracked.
 */
import { GatewayError } from "../../src/errors.js";
import { holdersFit, holdersFor, MEMORY_FLOOR_BYTES, type ProofSize, proofMemoryBytes } from "./sizes.js";

export interface Conditions {
  readonly root: boolean;
  /** nf_conntrack_max; undefined where the kernel has no connection tracking, or has not loaded it. */
  readonly maximum: string | undefined;
  /** Tracked connections in any network namespace that can be seen, and where. */
  readonly inUse: { readonly tracked: number; readonly where: string };
  readonly nofile: number;
  /** MemFree and page cache. */
  readonly freeBytes: number;
  /** Another proof runs on this host now. */
  readonly isRunning: boolean;
  /** What an interrupted proof left behind, as a sentence. */
  readonly leftover: string | undefined;
}

export const ALREADY_RUNNING = "another `megagate doctor --prove` is running on this host: wait until it has ended";

const grouped = (n: number): string => n.toLocaleString("en-US");
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** Throws `refused` with every reason, one a line. */
export function refuseUnless(conditions: Conditions, size: ProofSize): void {
  const reasons = faults(conditions, size);
  if (reasons.length > 0) throw new GatewayError("refused", reasons.join("\n"));
}

function* faultsOf(conditions: Conditions, size: ProofSize): Generator<string> {
  const { root, maximum, inUse, nofile, freeBytes, isRunning, leftover } = conditions;
  if (!root) {
    yield "doctor --prove needs root: it makes network namespaces and sets nf_conntrack_max for a moment. Run it with sudo.";
  }
  if (maximum === undefined) {
    yield "this kernel tracks no connections (net.netfilter.nf_conntrack_max is missing), so the limit does not exist here; to see it: modprobe nf_conntrack";
  }
  if (isRunning) yield ALREADY_RUNNING;
  else if (inUse.tracked > 0) {
    yield `${grouped(inUse.tracked)} connections are tracked now in ${inUse.where}: nf_conntrack_max is one value for the whole ` +
      "host, and lowering it would drop new ones. Run the proof on a machine without a firewall, Docker or kube-proxy.";
    if (leftover !== undefined) yield leftover;
  }
  if (!holdersFit(size.connections, nofile)) {
    yield `a process may have only ${grouped(nofile)} descriptors, too few for ${grouped(size.connections)} connections in a reasonable number of processes: ulimit -Hn 20000`;
    return;
  }
  const needed = proofMemoryBytes(size.connections, holdersFor(size.connections, nofile));
  if (freeBytes - needed < MEMORY_FLOOR_BYTES) {
    yield `${grouped(size.connections)} connections need ${gigabytes(needed)} and ${gigabytes(MEMORY_FLOOR_BYTES)} must stay free, but only ` +
      `${gigabytes(freeBytes)} are: add memory, or leave out --full`;
  }
}

export const faults = (conditions: Conditions, size: ProofSize): string[] => [...faultsOf(conditions, size)];
