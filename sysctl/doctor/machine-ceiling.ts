/**
 * The first ceiling within a few milliseconds, for a gateway that starts. Runs in the process that forks the workers, so that
 * limits and control groups are theirs. It opens no socket, so whether connections are tracked stays unknown here.
 */
import type { LimitId, Verdict } from "./ceiling.js";
import { ceilingsOf, firstCeiling } from "./ceilings.js";
import { survey } from "./survey.js";

interface MachineCeiling {
  readonly limit: LimitId;
  readonly connections: number;
  readonly verdict: Verdict;
}

/** Undefined where no ceiling is known. */
export function machineCeiling(
  connections: number,
  listenPorts: readonly number[],
  root = "/",
): MachineCeiling | undefined {
  const plan = { connections, listenPorts, side: "server", sources: 0, destinations: 1, open: 0 } as const;
  const first = firstCeiling(ceilingsOf(survey(root), plan));
  if (first?.connections == null) return undefined;
  return { limit: first.limit, connections: first.connections, verdict: first.verdict };
}
