/** A curve that went flat, with what made it do so: a part of the evidence, and its one sentence. Pure. */
import { type Cause, causeInWords, grouped } from "../../sysctl/attribution/attribute.js";
import type { Flat } from "./curve.js";

export interface Plateau extends Flat {
  /** The surest first; empty when nothing that is counted explains it. */
  readonly causes: readonly Cause[];
}

/** The reason that a verdict gives for a run which did not come to its target. */
export function plateauInWords({ connections, causes: [first] }: Plateau): string {
  const where = `the curve went flat at ${grouped(connections)}`;
  if (!first) return `${where}, and nothing that is counted here explains it`;
  return `${where}: ${causeInWords(first)}; remedy: ${first.remedy}`;
}
