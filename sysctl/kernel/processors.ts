/**
 * How many processors this process may use: those of its affinity mask, or the CPU quota of its control groups where that is
 * less. Node 20 counts only the mask (a pod with a quota of 2 on a big node would start 64 workers) and later versions round
 * the quota down, so Node is not asked. The number of workers and generators goes by the quota rounded up, rates by the fraction.
 */
import { availableParallelism } from "node:os";
import { groupProcessors } from "./control-groups.js";
import type { Processors } from "./facts.js";
import type { Tree } from "./tree.js";

export function processorsOf(tree: Tree): Processors {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(tree.text("proc/self/status") ?? "")?.[1];
  // A /proc of another PID namespace does not have this process: then only Node knows.
  const allowed = list === undefined && tree.root === "/" ? availableParallelism() : countList(list ?? "0");
  const quota = groupProcessors(tree);
  return { allowed, quota: quota < allowed ? quota : null };
}

/** For rates: processor seconds in each second, never zero. */
export const processorShare = ({ allowed, quota }: Processors): number => Math.max(0.01, quota ?? allowed);

/** For the number of processes: a part of a processor counts as one. */
export const coresOf = (processors: Processors): number => Math.ceil(processorShare(processors));

/** "0-3,8" → 5 */
function countList(list: string): number {
  return list.split(",").reduce((sum, part) => {
    const [low = 0, high = low] = part.split("-").map(Number);
    return sum + high - low + 1;
  }, 0);
}
