/**
 * The one clock by which ages, waits and deadlines are measured: CLOCK_MONOTONIC, in milliseconds since the machine booted.
 * It is the same in every process of a machine and in every life of the hub, so that a history entry may cross both, and a
 * step of the wall clock (NTP, a resumed machine) changes nothing. `Date.now()` belongs in log lines only. Any process.
 *
 * `performance.now()` counts the same clock from the start of its own process; calling `hrtime.bigint()` each time would
 * cost an allocation.
 */
const STARTED_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds with fractions. */
export function monotonicMs(): number {
  return STARTED_MS + performance.now();
}
