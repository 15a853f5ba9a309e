/**
 * What of a topic fits into one frame between hub and worker, for a larger one would cut the link each time that it is asked for. Keyed state is
 * refused when it is published, so that it fits always; of the history the newest part goes, in what the state leaves:
 * a client whose place is older is told that it missed something. Pure.
 */
import type { Remembered } from "../topics/memory.js";

/** A UTF-16 unit is three bytes at most in UTF-8, and two where it is escaped. */
const BYTES_A_CHARACTER = 3;
/** Of a frame, the part that state may take; the rest is left to history. */
const STATE_SHARE = 3 / 4;
/** A push is JSON and becomes a JSON string: each byte is escaped at worst. Its key is in it too, and stands once more. */
const BYTES_A_PUSH_BYTE = 3;
/** Offset, time and punctuation of an entry; name, epoch and offset of the topic. */
const ENTRY_BYTES = 64;
const HEAD_BYTES = 512;

/** Characters of keyed state, with its punctuation, that fit into a frame of `frameBytes`. */
export const stateLimit = (frameBytes: number): number => Math.floor((frameBytes * STATE_SHARE) / BYTES_A_CHARACTER);

/** The newest of `history` that fit beside a state of so many characters. */
export function newestThatFit(
  history: readonly Remembered[],
  stateCharacters: number,
  frameBytes: number,
): readonly Remembered[] {
  let left = frameBytes - HEAD_BYTES - stateCharacters * BYTES_A_CHARACTER;
  let from = history.length;
  while (from > 0) {
    left -= history[from - 1]!.push.length * BYTES_A_PUSH_BYTE + ENTRY_BYTES;
    if (left < 0) break;
    from -= 1;
  }
  return from === 0 ? history : history.slice(from);
}
