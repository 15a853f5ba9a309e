/**
 * What will stop this machine, and at which count: facts and a plan to ceilings, sorted by the count at which each bites.
 * Pure, and cheap enough for a running gateway to ask each time it is scraped: no option machinery, no files.
 * The two tables are counting.ts and pace.ts; a remedy is given in the words of what runs the gateway (surrounding.ts).
 */

import type { DoctorPlan, Facts } from "../kernel/facts.js";
import { remedyLines } from "../remedies/remedies.js";
import { type Ceiling, MAX_CONNECTIONS, type Verdict } from "./ceiling.js";
import { COUNT_ROWS, type CountRow } from "./count-limits.js";
import { largest } from "./demand.js";
import { concerns, paceCeilings } from "./rate-limits.js";
import { DIALECT_OF } from "./runtime.js";

export type { Ceiling, LimitId } from "./ceiling.js";

export function ceilingsOf(facts: Facts, plan: DoctorPlan): Ceiling[] {
  const rows = COUNT_ROWS.filter((row) => concerns(row.side, plan) && row.applies?.(facts, plan) !== false);
  return [...rows.map((row) => counted(row, facts, plan)), ...paced(facts, plan)].sort(
    (a, b) => place(a) - place(b) || (a.connections ?? 0) - (b.connections ?? 0),
  );
}

/** The one that connection number N + 1 meets; undefined where none is known. */
export const firstCeiling = (ceilings: readonly Ceiling[]): Ceiling | undefined =>
  ceilings.find(({ connections }) => connections !== null);

function counted(row: CountRow, facts: Facts, plan: DoctorPlan): Ceiling {
  const there = row.there(facts, plan);
  const connections = there === null ? null : bitesAt(row, there, facts, plan);
  const verdict: Verdict = connections === null ? "unknown" : connections < plan.connections ? "low" : "ok";
  const need = verdict === "low" ? row.need(facts, plan) : null;
  const advice = verdict === "low" ? row.advice?.(facts, plan) : undefined;
  return {
    limit: row.limit,
    side: row.side,
    counts: true,
    verdict,
    connections: connections === MAX_CONNECTIONS ? null : connections,
    there: row.shown(facts, plan),
    explanation: row.explanation(facts, plan),
    symptom: row.symptom,
    need,
    remedy: [...remedyOf(facts, need), ...(advice === undefined ? [] : [advice])],
  };
}

/** What our own open connections use already is part of what is used: only what n takes beyond them must fit. */
function bitesAt(row: CountRow, there: number, facts: Facts, plan: DoctorPlan): number {
  const held = row.net && plan.open > 0 ? row.needs(plan.open, facts, plan) : 0;
  return largest((n) => row.needs(n, facts, plan) - held <= there);
}

function paced(facts: Facts, plan: DoctorPlan): Ceiling[] {
  return paceCeilings(facts, plan).map((row) => ({ ...row, remedy: remedyOf(facts, row.need) }));
}

const remedyOf = (facts: Facts, need: Ceiling["need"]): string[] =>
  need === null ? [] : remedyLines(DIALECT_OF[facts.surrounding], need);

/** Known counts first, then those that could not be told, those that do not bound, and last what bounds the pace. */
function place({ counts, connections, verdict }: Ceiling): number {
  if (connections !== null) return 0;
  if (counts) return verdict === "unknown" ? 1 : 2;
  return { low: 3, unknown: 4, ok: 5 }[verdict];
}
