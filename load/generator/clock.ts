/**
 * One clock for all processes of a run: CLOCK_MONOTONIC in milliseconds with fractions, comparable between processes of
 * one host (wall clocks jump). Runs in the coordinator and in generators.
 */

/** A process that loses its core between the two readings of one comes out too early: the latest of some is right. */
const READINGS = 20;
/** `performance.now()` counts from the process's own start, on the same clock; it is the cheaper one to read (36 ns). */
const PROCESS_START_MS = Math.max(...Array.from({ length: READINGS }, readStart));

function readStart(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now();
}

export function monotonicMs(): number {
  return performance.now() + PROCESS_START_MS;
}
