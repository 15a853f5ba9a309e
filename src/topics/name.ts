/**
 * What a legal topic is. Segments of letters, digits, `_` and `-`, joined by `:`, at most 128 characters: `exts`,
 * `user:42`, `call-centre:7:agents`. The part before the first `:` is the prefix that configuration speaks of.
 * `.`, `*`, `>` and blanks are left out, so that `:` can become `.` and back in NATS subjects and KV keys without loss.
 */
export const MAX_TOPIC_CHARACTERS = 128;

const TOPIC = /^[A-Za-z0-9_-]+(?::[A-Za-z0-9_-]+)*$/;

export function isTopic(name: unknown): name is string {
  return typeof name === "string" && name.length <= MAX_TOPIC_CHARACTERS && TOPIC.test(name);
}

/** The rule in words, for error answers. */
export const TOPIC_RULE = `1–${MAX_TOPIC_CHARACTERS} characters: letters, digits, _ and -, with : between parts`;
