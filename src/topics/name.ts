/**
 * The grammar of topic names: segments of letters, digits, `_` and `-`, joined by `:`, at most 128 characters, such as
 * `exts`, `user:42` or `call-centre:7:agents`. The part before the first `:` is the prefix that --topic-rules name.
 * `.`, `*`, `>` and blanks are not allowed, so that `:` can become `.` and back in NATS subjects and keys without loss. Pure.
 */
export const MAX_TOPIC_CHARACTERS = 128;

const TOPIC = /^[A-Za-z0-9_-]+(?::[A-Za-z0-9_-]+)*$/;

export function isTopic(name: unknown): name is string {
  return typeof name === "string" && name.length <= MAX_TOPIC_CHARACTERS && TOPIC.test(name);
}

/** The rule as text, for error answers. */
export const TOPIC_RULE = `1–${MAX_TOPIC_CHARACTERS} characters: letters, digits, _ and -, with : between parts`;
