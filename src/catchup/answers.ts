/**
 * Answers and resets, made from the replica: position and state, or the promise of the missed pushes. A storm asks thousands
 * of times, so the encoded state is shared, and a large one is used for a second although the topic moves on: its receivers
 * then get the later publications as pushes. So memory never holds more states of a topic than the seconds it takes to send
 * one. Worker only; sends nothing.
 */
import { monotonicMs } from "../clock.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { followReply, resetEvent, type SubscribeRequest } from "../protocol/messages.js";
import type { SharedMessage } from "../protocol/shared-message.js";
import { MAX_CHUNK_BYTES } from "../protocol/shared-message.js";
import type { Cursor } from "../topics/journal.js";
import type { Remembered } from "../topics/memory.js";
import { cursorOf, MAX_AHEAD, type Topic } from "../topics/topics.js";

/** A message with a topic's state, and the receiver's cursor after it. */
export interface StateMessage {
  readonly message: SharedMessage;
  readonly cursor: Cursor;
}

interface Snapshot {
  readonly cursor: Cursor;
  readonly json: Buffer;
  readonly atMs: number;
  /** Answers without an id, by action: the same for all receivers, joined once. */
  readonly answers: Map<string, SharedMessage>;
}

const SNAPSHOT_MS = 1000;
const NO_STATE = Buffer.from("[]");
/** Of the topics that were asked for last: a storm asks for few topics, and a million topics of one user each need none. */
const MAX_SNAPSHOTS = 64;
const snapshots = new Map<Topic, Snapshot>();

export const reqtypeOf = ({ action }: SubscribeRequest): string => (action === undefined ? "Subscribe" : "Query");

/** The client has seen more of this epoch than this worker, because another worker was faster. False where it cannot have. */
export const isAhead = ({ since }: SubscribeRequest, topic: Topic): boolean =>
  since?.epoch === topic.epoch && since.offset > topic.offset && since.offset - topic.offset <= MAX_AHEAD;

/** The answer to a request, and the pushes that must follow it. */
export interface FollowAnswer {
  readonly message: SharedMessage;
  /** The receiver must be sent everything after it. */
  readonly from: Cursor;
  /** The pushes after `from`, which is then the client's own position; undefined where the answer carries the state. */
  readonly missed: readonly Remembered[] | undefined;
}

/** Call it when the answer can be sent: a waiting answer would pin a snapshot, and the client's position might be forgotten. */
export function answerTo(topic: Topic, request: SubscribeRequest): FollowAnswer {
  const { since } = request;
  const isOurs = since !== undefined && since.epoch === topic.epoch;
  const missed = isOurs ? topic.memory.since(since.offset, topic.offset, monotonicMs()) : undefined;
  if (since && missed) {
    const cursor = cursorOf(topic);
    const message = followReply({ name: topic.name, ...cursor, state: NO_STATE }, request, true);
    return { message, from: { ...cursor, ...since }, missed };
  }
  const { message, cursor } = stateAnswer(topic, request);
  return { message, from: cursor, missed };
}

/** Call it when the answer is sent, because an answer may be made twice. */
export function countRecovery({ since }: SubscribeRequest, { missed }: FollowAnswer): void {
  if (since) counters[missed ? SLOT.recoveries : SLOT.recoveriesFailed]! += 1;
}

function stateAnswer(topic: Topic, request: SubscribeRequest): StateMessage {
  const { cursor, json, answers } = snapshotOf(topic);
  const snapshot = { name: topic.name, ...cursor, state: json };
  if (request.id !== undefined) return { message: followReply(snapshot, request, false), cursor };
  const action = request.action ?? "";
  const message = answers.get(action) ?? followReply(snapshot, request, false);
  answers.set(action, message);
  return { message, cursor };
}

/** The event that replaces the receiver's state as a whole. */
export function resetOf(topic: Topic): StateMessage {
  const { cursor, json } = snapshotOf(topic);
  return { message: resetEvent({ name: topic.name, ...cursor, state: json }), cursor };
}

function snapshotOf(topic: Topic): Snapshot {
  const nowMs = monotonicMs();
  const known = snapshots.get(topic);
  if (known && isUsable(known, topic, nowMs)) return known;
  const fresh = { cursor: cursorOf(topic), json: topic.memory.encodeState(), atMs: nowMs, answers: new Map() };
  snapshots.delete(topic);
  snapshots.set(topic, fresh);
  if (snapshots.size > MAX_SNAPSHOTS) snapshots.delete(snapshots.keys().next().value!);
  return fresh;
}

function isUsable({ cursor, json, atMs }: Snapshot, { epoch, offset, memory }: Topic, nowMs: number): boolean {
  if (cursor.epoch !== epoch) return false;
  if (cursor.offset === offset) return true;
  return json.length > MAX_CHUNK_BYTES && nowMs - atMs < SNAPSHOT_MS && memory.reaches(cursor.offset, offset, nowMs);
}
