/**
 * Which limit stops this machine first, and at how many connections: turns facts and a plan into ceilings, sorted by the count
 * at which each bites. Pure, and cheap enough for a running gateway to call every 15 seconds: no option machinery, no files.
 * The two tables are count-limits.ts and rate-limits.ts; a remedy is printed in the format of what runs the gateway (runtime.ts).
 */

import type { MachineFacts } from "../kernel/facts.js";
import { remedyLines } from "../remedies/remedies.js";
import { type DoctorCeiling, type DoctorPlan, MAX_CONNECTIONS, type Verdict } from "./ceiling.js";
import { COUNT_ROWS, type CountRow } from "./count-limits.js";
import { largestFitting } from "./demand.js";
import { concerns, rateCeilings } from "./rate-limits.js";
import { DIALECT_OF } from "./runtime.js";

export type { DoctorCeiling as Ceiling, LimitId } from "./ceiling.js";

export function ceilingsOf(facts: MachineFacts, plan: DoctorPlan): DoctorCeiling[] {
  const rows = COUNT_ROWS.filter((row) => concerns(row.side, plan) && row.applies?.(facts, plan) !== false);
  return [...rows.map((row) => countCeiling(row, facts, plan)), ...rateLimits(facts, plan)].sort(
    (a, b) => rank(a) - rank(b) || (a.connections ?? 0) - (b.connections ?? 0),
  );
}

/** The ceiling that stops the machine first; undefined where none is known. */
export const firstCeiling = (ceilings: readonly DoctorCeiling[]): DoctorCeiling | undefined =>
  ceilings.find(({ connections }) => connections !== null);

function countCeiling(row: CountRow, facts: MachineFacts, plan: DoctorPlan): DoctorCeiling {
  const connections = highestCount(row, facts, plan);
  const verdict: Verdict = connections === null ? "unknown" : connections < plan.connections ? "low" : "ok";
  const need = verdict === "low" ? row.need(facts, plan) : null;
  const advice = verdict === "low" ? row.advice?.(facts, plan) : undefined;
  return {
    limit: row.limit,
    side: row.side,
    counts: true,
    verdict,
    connections: connections === MAX_CONNECTIONS ? null : connections,
    current: row.shown(facts, plan),
    explanation: row.explanation(facts, plan),
    symptom: row.symptom,
    need,
    remedy: [...remedyOf(facts, need), ...(advice === undefined ? [] : [advice])],
  };
}

/** The highest number of connections that the limit allows; null where it could not be read. */
function highestCount(row: CountRow, facts: MachineFacts, plan: DoctorPlan): number | null {
  const available = row.available(facts, plan);
  if (available === null) return null;
  // `available` leaves out what our own open connections use: only what n needs beyond them must fit.
  const held = row.net && plan.open > 0 ? row.needs(plan.open, facts, plan) : 0;
  return largestFitting((n) => row.needs(n, facts, plan) - held <= available);
}

function rateLimits(facts: MachineFacts, plan: DoctorPlan): DoctorCeiling[] {
  return rateCeilings(facts, plan).map((row) => ({ ...row, remedy: remedyOf(facts, row.need) }));
}

const remedyOf = (facts: MachineFacts, need: DoctorCeiling["need"]): string[] =>
  need === null ? [] : remedyLines(DIALECT_OF[facts.runtime], need);

/** Order in the report: known counts, unknown ones, limits that do not bound, and last the limits on the rate. */
function rank({ counts, connections, verdict }: DoctorCeiling): number {
  if (connections !== null) return 0;
  if (counts) return verdict === "unknown" ? 1 : 2;
  return { low: 3, unknown: 4, ok: 5 }[verdict];
}
