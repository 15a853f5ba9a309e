/**
 * Chooses each constant of a plan: the run's own where the evidence has a plausible value, else the shipped one; keeps the
 * origin of each. Pure; runs in the command line.
 */
import { CONSTANTS, type ConstantName, type ConstantRow, type Constants } from "./constants.js";
import type { Measured } from "./measured.js";

/** With fewer connections the fixed costs would distort the values. */
const MIN_OPEN = 10_000;

export interface Origin {
  readonly name: ConstantName;
  readonly value: number;
  readonly unit: string;
  readonly means: string;
  readonly from: "evidence" | "shipped";
  /** Where it was measured; for a shipped constant, also why the file's value was not taken. */
  readonly source: string;
}

/** All constants, each from the run where that has a plausible value, else the shipped one. */
export function settle(run?: Measured): { readonly values: Constants; readonly origins: readonly Origin[] } {
  const origins = Object.entries<ConstantRow>(CONSTANTS).map(([name, row]) => originOf(name as ConstantName, row, run));
  const values = Object.fromEntries(origins.map(({ name, value }) => [name, value])) as Constants;
  return { values, origins };
}

function originOf(name: ConstantName, row: ConstantRow, run: Measured | undefined): Origin {
  const { value, unit, means, source } = row;
  const shipped = { name, value, unit, means, from: "shipped", source } as const;
  if (run === undefined || row.own === undefined) return shipped;
  const because = (why: string): Origin => ({ ...shipped, source: `${source} (${why})` });
  if (run.open < MIN_OPEN)
    return because(`the evidence is of fewer than ${MIN_OPEN.toLocaleString("en-US")} connections`);
  const own = row.own.of(run);
  if (own === null || own === undefined) return because("the evidence has no value");
  if (own < row.own.min || own > row.own.max)
    return because(`the evidence's ${Number(own.toPrecision(4))} is not plausible`);
  return {
    ...shipped,
    value: Number(own.toPrecision(4)),
    from: "evidence",
    source: `a run of ${run.open.toLocaleString("en-US")} connections`,
  };
}
