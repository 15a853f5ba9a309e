/**
 * What a follower of a topic is told, made from the replica. Answers without an id are the same for everybody at one
 * offset and are encoded once. Pure but for that cache, which the topic drops with its next publication.
 */
import type { Topic } from "../topics/topics.js";
import { followReply, type Told, type Wish } from "./protocol.js";

export const told = ({ name, epoch, offset, memory }: Topic): Told => ({
  name,
  epoch,
  offset,
  state: memory.stateText,
});

export const reqtypeOf = ({ action }: Wish): string => (action === undefined ? "Subscribe" : "Query");

/** The client has seen more of this epoch than this worker: another worker was faster. */
export const isAhead = ({ since }: Wish, topic: Topic): boolean =>
  since !== undefined && since.epoch === topic.epoch && since.offset > topic.offset;

/** Answers without an id are the same for everybody at this offset: encoded once. */
export function answerOf(topic: Topic, wish: Wish, recovered: boolean): Buffer {
  if (wish.id !== undefined) return followReply(told(topic), wish, recovered);
  const kind = `${wish.action ?? ""}${recovered}`;
  topic.answers ??= new Map();
  const known = topic.answers.get(kind);
  if (known) return known;
  const answer = followReply(told(topic), wish, recovered);
  topic.answers.set(kind, answer);
  return answer;
}
