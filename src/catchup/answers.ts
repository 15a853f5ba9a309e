/**
 * What a follower of a topic is told, made from the replica: its position and state. A storm asks thousands of times, so
 * the encoded state is shared, and a large one is used for a second although the topic moves on: those who get it then
 * get what they missed as pushes. So there are never more states in memory than seconds that it takes to send one.
 */
import { monotonicMs } from "../clock.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { followReply, resetEvent, type SubscribeRequest } from "../protocol/messages.js";
import type { SharedMessage } from "../protocol/shared-message.js";
import { MAX_CHUNK_BYTES } from "../protocol/shared-message.js";
import type { Place } from "../topics/journal.js";
import type { Remembered } from "../topics/memory.js";
import { MAX_AHEAD, placeOf, type Topic } from "../topics/topics.js";

/** A message about a topic, and where its receiver stands then. */
export interface Answer {
  readonly message: SharedMessage;
  readonly place: Place;
}

interface Snapshot {
  readonly place: Place;
  readonly json: Buffer;
  readonly atMs: number;
  /** Answers without an id: the same for everybody, joined once. */
  readonly answers: Map<string, SharedMessage>;
}

const SNAPSHOT_MS = 1000;
const NO_STATE = Buffer.from("[]");
/** Of the topics that were asked for lately: a storm asks for few, and a million topics of one user each need none. */
const KEPT = 64;
const snapshots = new Map<Topic, Snapshot>();

export const reqtypeOf = ({ action }: SubscribeRequest): string => (action === undefined ? "Subscribe" : "Query");

/** The client has seen more of this epoch than this worker: another worker was faster. What cannot be true is not waited for. */
export const isAhead = ({ since }: SubscribeRequest, topic: Topic): boolean =>
  since?.epoch === topic.epoch && since.offset > topic.offset && since.offset - topic.offset <= MAX_AHEAD;

/** The answer to a request, and what its receiver is to be sent after it. */
export interface FollowAnswer {
  readonly message: SharedMessage;
  /** Everything after it is still to be sent. */
  readonly from: Place;
  /** The pushes after the client's position, which is then `from`; undefined where the answer carries the state. */
  readonly missed: readonly Remembered[] | undefined;
}

/** Made when it can be sent: an answer that waited would pin a snapshot, and the client's position might be forgotten. */
export function answerTo(topic: Topic, request: SubscribeRequest): FollowAnswer {
  const { since } = request;
  const isOurs = since !== undefined && since.epoch === topic.epoch;
  const missed = isOurs ? topic.memory.since(since.offset, topic.offset, monotonicMs()) : undefined;
  if (since && missed) {
    const place = placeOf(topic);
    const message = followReply({ name: topic.name, ...place, state: NO_STATE }, request, true);
    return { message, from: { ...place, ...since }, missed };
  }
  const { message, place } = stateOf(topic, request);
  return { message, from: place, missed };
}

/** Counted once an answer is sent, for it may be made twice. */
export function countRecovery({ since }: SubscribeRequest, { missed }: FollowAnswer): void {
  if (since) counters[missed ? SLOT.recoveries : SLOT.recoveriesFailed]! += 1;
}

function stateOf(topic: Topic, request: SubscribeRequest): Answer {
  const { name } = topic;
  const { place, json, answers } = snapshotOf(topic);
  const told = { name, ...place, state: json };
  if (request.id !== undefined) return { message: followReply(told, request, false), place };
  const kind = request.action ?? "";
  const message = answers.get(kind) ?? followReply(told, request, false);
  answers.set(kind, message);
  return { message, place };
}

/** All that was known is void; this holds. */
export function resetOf(topic: Topic): Answer {
  const { place, json } = snapshotOf(topic);
  return { message: resetEvent({ name: topic.name, ...place, state: json }), place };
}

function snapshotOf(topic: Topic): Snapshot {
  const nowMs = monotonicMs();
  const known = snapshots.get(topic);
  if (known && isGood(known, topic, nowMs)) return known;
  const fresh = { place: placeOf(topic), json: topic.memory.encodeState(), atMs: nowMs, answers: new Map() };
  snapshots.delete(topic);
  snapshots.set(topic, fresh);
  if (snapshots.size > KEPT) snapshots.delete(snapshots.keys().next().value!);
  return fresh;
}

function isGood({ place, json, atMs }: Snapshot, { epoch, offset, memory }: Topic, nowMs: number): boolean {
  if (place.epoch !== epoch) return false;
  if (place.offset === offset) return true;
  return json.length > MAX_CHUNK_BYTES && nowMs - atMs < SNAPSHOT_MS && memory.reaches(place.offset, offset, nowMs);
}
