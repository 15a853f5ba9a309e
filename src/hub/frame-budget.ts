/**
 * How much of a topic fits into one frame between hub and worker: a larger frame would cut the link, again at each `follow`.
 * Keyed state that would not fit is refused when it is published; of the history the newest part is sent, in the space that
 * the state leaves: a client whose position is older gets `recovered:false`. Pure.
 */
import type { Remembered } from "../topics/memory.js";

/** A UTF-16 unit takes at most three bytes in UTF-8, or two where it is escaped. */
const BYTES_A_CHARACTER = 3;
/** The part of a frame that state may take; the rest is for history. */
const STATE_SHARE = 3 / 4;
/** A push is JSON and becomes a JSON string: at worst each byte is escaped. The key is in the push and again next to it. */
const BYTES_A_PUSH_BYTE = 3;
/** Offset, time and punctuation of an entry; name, epoch and offset of the topic. */
const ENTRY_BYTES = 64;
const HEAD_BYTES = 512;

/** Characters of keyed state, with its punctuation, that fit into a frame of `frameBytes`. */
export const stateLimit = (frameBytes: number): number => Math.floor((frameBytes * STATE_SHARE) / BYTES_A_CHARACTER);

/** The newest entries of `history` that fit into a frame next to a state of so many characters. */
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
