/**
 * Makes texts of others safe for a terminal: nothing in them can control it, or display characters in another order. Such
 * characters are replaced by their JSON escapes, so that JSON stays JSON. Pure; for `watch`, `publish` and the error messages
 * of every command. It is in this folder because src/client imports no other.
 */

/** ZWNJ and ZWJ are kept: Persian and emoji need them, and they control nothing. */
const UNSAFE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Replaces control characters (some terminals read a few as 8-bit escapes), format characters (some turn the direction of
 * writing), halves of surrogate pairs, and the separators of lines and paragraphs.
 */
export const plain = (text: string): string => text.replace(UNSAFE, escaped);

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => unit(character.charCodeAt(at))).join("");
}

const unit = (code: number): string => `\\u${code.toString(16).padStart(4, "0")}`;
