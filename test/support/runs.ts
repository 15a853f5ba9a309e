/**
 * How many cases a property test tries: all of them in `make check`, a part where a change is tried while it is made. Whatever is
 * found prints its seed. THOROUGH=1 is what `make check` sets; 10 tries ten times as many, for a long evening.
 */
const QUICK = 0.1;

const factor = Number(process.env.THOROUGH ?? QUICK);
if (!(factor > 0)) throw new Error("THOROUGH must be a number above 0: 1 is what `make check` runs");

/** For fc.assert: so many runs in `make check`. */
export const runs = (thorough: number): { numRuns: number } => ({ numRuns: Math.max(5, Math.ceil(thorough * factor)) });
