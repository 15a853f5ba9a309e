/**
 * Which mechanism stops the connections: the causes of causes.ts that the counted numbers prove, the most certain first. Pure.
 * The result becomes a part of a run's evidence file or of a gateway's log. Runs in the load coordinator and in the supervisor.
 */
import { CAUSES } from "./causes.js";
import type { CauseRow, Certainty, Proof, View } from "./proofs.js";

export interface Cause {
  /** The doctor's name of this limit, where it has one. */
  readonly id: string;
  readonly side: CauseRow["side"];
  readonly certainty: Certainty;
  readonly title: string;
  /** The numbers that prove it; null where this kernel does not report one. */
  readonly numbers: Readonly<Record<string, number | null>>;
  /** Open connections when the first sign appeared; null where its signs are not counted one by one. */
  readonly firstSeenAt: number | null;
  readonly remedy: string;
}

const RANK: Readonly<Record<Certainty, number>> = { proven: 0, likely: 1, possible: 2 };

/** `firstSeen`: error name or counter → open connections when it first rose. */
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
