/** Descendants of a process, as the kernel lists them: for tests that check that every process has ended. */
import { readdirSync, readFileSync } from "node:fs";

/** Parent of each living process; a zombie is not alive. */
function parents(): Map<number, number> {
  const found = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      // "pid (name) state parent …"; a name may hold spaces and brackets.
      const [state, parent] = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)!.split(" ");
      if (state !== "Z") found.set(Number(name), Number(parent));
    } catch {
      // It has ended.
    }
  }
  return found;
}

export function descendants(pid: number): number[] {
  const all = [...parents()];
  const found = [pid];
  for (const ancestor of found) found.push(...all.filter(([, parent]) => parent === ancestor).map(([child]) => child));
  return found.slice(1);
}

export function living(pids: readonly number[]): number[] {
  const all = parents();
  return pids.filter((pid) => all.has(pid));
}
