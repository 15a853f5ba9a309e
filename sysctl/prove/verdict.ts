/**
 * The three steps of the proof, and whether a step showed what it must. Pure. Only exact numbers count: one connection more or
 * less is a failure. Used in the command line.
 */
import type { StepFinding } from "./messages.js";
import type { ProofSize } from "./sizes.js";

export interface ProofStep {
  readonly title: string;
  /** A rule makes the kernel track connections in this step's namespace. */
  readonly tracked: boolean;
  /** nf_conntrack_max during the step. */
  readonly maximum: number;
  /** Connections that must be open at the end, exactly. */
  readonly expected: number;
}

export interface StepResult extends ProofStep {
  readonly finding: StepFinding;
  /** The kernel's own line about the full table; null where it wrote none, or where the log cannot be read. */
  readonly kernelLine: string | null;
}

export const proofSteps = ({ table, connections, raised }: ProofSize): ProofStep[] => [
  { title: `tracking live, table of ${grouped(table)}`, tracked: true, maximum: table, expected: table },
  { title: "same table, no tracking rule", tracked: false, maximum: table, expected: connections },
  { title: `tracking live, table of ${grouped(raised)}`, tracked: true, maximum: raised, expected: connections },
];

/** Why the step did not show what it must; empty if it did. */
export function shortfalls({ finding, expected, tracked }: StepResult, connections: number): string[] {
  const { open, accepted, established, timedOut, errors } = finding;
  const expect = (what: string, found: number, wanted: number): string[] =>
    found === wanted ? [] : [`${what}: ${grouped(found)} instead of ${grouped(wanted)}`];
  return [
    ...expect("open", open, expected),
    ...expect("accepted by the server", accepted, expected),
    ...expect("socket ends ESTABLISHED by the kernel's count", established, 2 * expected),
    ...expect("entries in the table", finding.tracked, tracked ? expected : 0),
    ...Object.entries(errors).map(([name, n]) => `${grouped(n)} ended with ${name}`),
    ...(expected < connections && timedOut === 0 ? ["no connect timed out at the full table"] : []),
    ...(expected === connections && timedOut > 0 ? [`${grouped(timedOut)} connects timed out`] : []),
    ...(expected < connections && finding.dropped === 0 ? ["the kernel counted no dropped packet"] : []),
  ];
}

export const grouped = (n: number): string => n.toLocaleString("en-US");
