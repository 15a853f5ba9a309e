/**
 * A plateau: where the ramp's curve went flat, with its causes, as a part of the evidence and as the one sentence that a
 * verdict and a report show. Pure; runs in the coordinator.
 */
import { type Cause, causeInWords, grouped } from "../../sysctl/attribution/attribute.js";
import type { Flat } from "./curve.js";

export interface Plateau extends Flat {
  /** The most certain first; empty when no counter explains the plateau. */
  readonly causes: readonly Cause[];
}

/** The reason that a verdict gives for a run that fell short of its target. */
export function plateauInWords({ connections, causes: [first] }: Plateau): string {
  const where = `the curve went flat at ${grouped(connections)}`;
  if (!first) return `${where}, and no counter here explains it`;
  return `${where}: ${causeInWords(first)}; remedy: ${first.remedy}`;
}
