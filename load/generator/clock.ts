/**
 * One clock for all processes of a run: CLOCK_MONOTONIC in milliseconds with fractions, comparable between processes of
 * one host (wall clocks jump). Runs in the coordinator and in generators.
 */

/** If the process loses its core between the two clock readings, the result is too early: the latest of several is right. */
const READINGS = 20;
/** `performance.now()` counts from the process's own start, on the same clock, and is cheaper to read (36 ns). */
const PROCESS_START_MS = Math.max(...Array.from({ length: READINGS }, readStart));

function readStart(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now();
}

export function monotonicMs(): number {
  return performance.now() + PROCESS_START_MS;
}
