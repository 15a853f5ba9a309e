/**
 * Texts that others chose, as a terminal may be given them: nothing in them may command it, or show another order than
 * they have. What could is replaced by JSON's escapes, so that what was JSON still is. Pure; for `watch`, `publish` and the
 * error messages of every command. Stands here because the client's room may import no other.
 */

/** ZWNJ and ZWJ stay: Persian and emoji are written with them, and they command nothing. */
const UNSAFE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Controls, among them what some terminals take as 8-bit escapes; format characters, among them those that turn the
 * direction of writing; halves of surrogate pairs; the separators of lines and paragraphs.
 */
export const plain = (text: string): string => text.replace(UNSAFE, escaped);

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => unit(character.charCodeAt(at))).join("");
}

const unit = (code: number): string => `\\u${code.toString(16).padStart(4, "0")}`;
