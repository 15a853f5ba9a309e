/**
 * What must hold before a proof begins, judged purely: each fault with its remedy. The proof borrows one value of the
 * whole host, so it is strict: where anybody's connections are tracked, it does not begin.
 */
import { GatewayError } from "../../src/errors.js";
import { holdersFit, holdersFor, MEMORY_FLOOR_BYTES, memoryNeededBytes, type Size } from "./sizes.js";

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
  readonly atWork: boolean;
  /** A proof before this one that was cut short, in words. */
  readonly leftover: string | undefined;
}

export const AT_WORK = "another `megagate doctor --prove` is at work on this host: wait until it has ended";

const grouped = (n: number): string => n.toLocaleString("en-US");
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** Throws `refused` with every reason, one a line. */
export function refuseUnless(conditions: Conditions, size: Size): void {
  const reasons = faults(conditions, size);
  if (reasons.length > 0) throw new GatewayError("refused", reasons.join("\n"));
}

function* faultsOf(conditions: Conditions, size: Size): Generator<string> {
  const { root, maximum, inUse, nofile, freeBytes, atWork, leftover } = conditions;
  if (!root) {
    yield "doctor --prove needs root: it makes network namespaces and sets nf_conntrack_max for a moment. Run it with sudo.";
  }
  if (maximum === undefined) {
    yield "this kernel tracks no connections (net.netfilter.nf_conntrack_max is missing), so the wall does not exist here; to see it: modprobe nf_conntrack";
  }
  if (atWork) yield AT_WORK;
  else if (inUse.tracked > 0) {
    yield `${grouped(inUse.tracked)} connections are tracked now in ${inUse.where}: nf_conntrack_max is one value for the whole ` +
      "host, and lowering it would refuse their successors. Run the proof on a machine where no firewall, Docker or kube-proxy is at work.";
    if (leftover !== undefined) yield leftover;
  }
  if (!holdersFit(size.connections, nofile)) {
    yield `a process may have only ${grouped(nofile)} descriptors, too few for ${grouped(size.connections)} connections in a sensible number of processes: ulimit -Hn 20000`;
    return;
  }
  const needed = memoryNeededBytes(size.connections, holdersFor(size.connections, nofile));
  if (freeBytes - needed < MEMORY_FLOOR_BYTES) {
    yield `${grouped(size.connections)} connections need ${gigabytes(needed)} and ${gigabytes(MEMORY_FLOOR_BYTES)} must stay free, but only ` +
      `${gigabytes(freeBytes)} are: add memory, or leave out --full`;
  }
}

export const faults = (conditions: Conditions, size: Size): string[] => [...faultsOf(conditions, size)];
