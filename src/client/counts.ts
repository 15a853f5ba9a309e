/**
 * What happened, in numbers; one record for a whole client. Everything that is dropped is counted here, so that a
 * page can show, and a test can assert, that nothing went wrong unnoticed.
 */

export interface Counts {
  /** Sockets that opened. */
  connections: number;
  /** Pushes that were passed to subscriptions. */
  pushes: number;
  /** Pushes that came twice. */
  duplicates: number;
  /** Pushes of a topic that is not followed, or before its answer. */
  strays: number;
  gaps: number;
  resets: number;
  /** Messages that were not understood. */
  unknown: number;
}

export const noCounts = (): Counts => ({
  connections: 0,
  pushes: 0,
  duplicates: 0,
  strays: 0,
  gaps: 0,
  resets: 0,
  unknown: 0,
});
