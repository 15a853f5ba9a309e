/**
 * Which mechanism is at work: the causes of causes.ts that numbers prove, the surest first. Pure: what was counted goes in,
 * a part of a run's evidence or of a gateway's log comes out.
 */
import { CAUSES } from "./causes.js";
import type { CauseRow, Certainty, Proof, View } from "./proofs.js";

export interface Cause {
  /** As `megagate doctor` names its ceilings, where it has one for it. */
  readonly id: string;
  readonly side: CauseRow["side"];
  readonly certainty: Certainty;
  readonly title: string;
  /** What proves it; null stands for a number that this kernel does not give. */
  readonly numbers: Readonly<Record<string, number | null>>;
  /** Open connections when its first sign was seen; null when its signs are not counted one by one. */
  readonly firstSeenAt: number | null;
  readonly remedy: string;
}

const RANK: Readonly<Record<Certainty, number>> = { proven: 0, likely: 1, possible: 2 };

/** `firstSeen`: error name or counter → open connections when it first moved. */
export function attribute(view: View, firstSeen: ReadonlyMap<string, number>): Cause[] {
  const found = CAUSES.flatMap((row) => {
    const proof = row.prove(view);
    return proof ? [{ row, proof }] : [];
  });
  found.sort((a, b) => RANK[a.proof.certainty] - RANK[b.proof.certainty] || b.proof.weight - a.proof.weight);
  const isLoad = view.run.generators > 0;
  return found.map(({ row, proof }) => ({
    ...describe(row, proof, firstSeen),
    remedy: isLoad && row.orLoad !== undefined ? `${row.remedy}, or ${row.orLoad}` : row.remedy,
  }));
}

function describe(row: CauseRow, proof: Proof, firstSeen: ReadonlyMap<string, number>): Omit<Cause, "remedy"> {
  const { id, side, title } = row;
  const seen = proof.signs.flatMap((sign) => firstSeen.get(sign) ?? []);
  const numbers = Object.entries(proof.numbers).map(([name, n]) => [name, Number.isFinite(n) ? n : null] as const);
  return {
    id,
    side,
    certainty: proof.certainty,
    title,
    numbers: Object.fromEntries(numbers),
    firstSeenAt: seen.length > 0 ? Math.min(...seen) : null,
  };
}

export const grouped = (n: number): string => n.toLocaleString("en-US");

/** "conntrack: the connection-tracking table is full … (entries 5,000, limit 5,000)". */
export function causeInWords({ id, title, numbers }: Cause): string {
  const known = Object.entries(numbers).flatMap(([name, n]) => (n === null ? [] : [`${name} ${grouped(n)}`]));
  return `${id}: ${title} (${known.join(", ")})`;
}
