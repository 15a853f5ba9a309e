/**
 * How many processors this process may use: those that it may run on, or what the control groups' CPU quota comes to where that
 * is less. Node 20 counts only the former (a pod with a quota of 2 on a big node would start 64 workers), later ones round the
 * latter down, so neither is asked. Workers and generators are whole ones; rates go by the fraction.
 */
import { availableParallelism } from "node:os";
import { groupProcessors } from "./control-groups.js";
import type { Processors } from "./facts.js";
import type { Tree } from "./tree.js";

export function processorsOf(tree: Tree): Processors {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(tree.text("proc/self/status") ?? "")?.[1];
  // Where /proc is of another PID namespace it does not have this process, and Node is asked.
  const allowed = list === undefined && tree.root === "/" ? availableParallelism() : countList(list ?? "0");
  const quota = groupProcessors(tree);
  return { allowed, quota: quota < allowed ? quota : null };
}

/** For rates: what there is in a second, never none. */
export const shareOf = ({ allowed, quota }: Processors): number => Math.max(0.01, quota ?? allowed);

/** For processes: a started one counts whole. */
export const coresOf = (processors: Processors): number => Math.ceil(shareOf(processors));

/** "0-3,8" → 5 */
function countList(list: string): number {
  return list.split(",").reduce((sum, part) => {
    const [low = 0, high = low] = part.split("-").map(Number);
    return sum + high - low + 1;
  }, 0);
}
