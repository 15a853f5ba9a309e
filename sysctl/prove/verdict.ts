/** The three acts and what each must show, judged purely: nothing but exact numbers counts as shown. */
import type { Finding } from "./messages.js";
import type { Size } from "./sizes.js";

export interface Act {
  readonly title: string;
  /** A rule makes the kernel track connections in this act's namespace. */
  readonly tracked: boolean;
  /** nf_conntrack_max during the act. */
  readonly maximum: number;
  /** Connections that must be open at the end, exactly. */
  readonly expected: number;
}

export interface Played extends Act {
  readonly finding: Finding;
  /** The kernel's own line about the full table; null where none was written, or the log cannot be read. */
  readonly kernelLine: string | null;
}

export const actsOf = ({ table, connections, raised }: Size): Act[] => [
  { title: `tracking live, table of ${grouped(table)}`, tracked: true, maximum: table, expected: table },
  { title: "same table, no tracking rule", tracked: false, maximum: table, expected: connections },
  { title: `tracking live, table of ${grouped(raised)}`, tracked: true, maximum: raised, expected: connections },
];

/** Why the act did not show what it should; empty when it did. */
export function shortfalls({ finding, expected, tracked }: Played, connections: number): string[] {
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
