/**
 * What a parked socket is sent next of one topic, and its cursor after each message: the missed pushes, or, for a slow
 * reader, what the topic's policy makes of them. Reads the replica and decides; sends nothing. Worker only.
 */
import { monotonicMs } from "../clock.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { UnsentReason } from "../metrics/reasons.js";
import { droppedEvent } from "../protocol/messages.js";
import type { SharedMessage } from "../protocol/shared-message.js";
import type { Cursor } from "../topics/journal.js";
import type { Remembered } from "../topics/memory.js";
import { encodeAfter } from "../topics/publication.js";
import { cursorOf, type Topic } from "../topics/topics.js";
import { resetOf } from "./answers.js";

export interface Undelivered {
  readonly messages: number;
  readonly bytes: number;
}

/** One message, and the receiver's cursor after it. */
export interface Step {
  readonly cursor: Cursor;
  readonly message: Uint8Array | SharedMessage;
  readonly isPush: boolean;
  /** The pushes that it replaces. */
  readonly unsent?: Undelivered & { readonly reason: UnsentReason };
}

/** What was delivered on this worker between two cursors. */
const between = (from: Cursor, to: Cursor): Undelivered => ({
  messages: to.messages - from.messages,
  bytes: to.bytes - from.bytes,
});

export const undeliveredAfter = (topic: Topic, cursor: Cursor): Undelivered => between(cursor, cursorOf(topic));

export const isBehind = (topic: Topic, { epoch, offset }: Cursor): boolean =>
  epoch !== topic.epoch || offset !== topic.offset;

/** How long a slow reader of `disconnect` topics has been slow, and how long it may be; milliseconds. */
export interface Grace {
  readonly slowForMs: number;
  readonly graceMs: number;
}

/**
 * Whether the topic's policy ends the connection of a slow reader with this cursor: the reader misses something of a
 * `disconnect` topic, and its grace is over or the missed pushes are no longer remembered.
 */
export function mustDisconnect(topic: Topic, cursor: Cursor, { slowForMs, graceMs }: Grace): boolean {
  if (topic.slowReaders !== "disconnect" || !isBehind(topic, cursor)) return false;
  return slowForMs >= graceMs || !isRemembered(topic, cursor);
}

/** After a change of epoch every subscriber gets a reset, and misses nothing of the epoch before. */
const isRemembered = ({ epoch, offset, memory }: Topic, cursor: Cursor): boolean =>
  cursor.epoch !== epoch || memory.reaches(cursor.offset, offset, monotonicMs());

/**
 * `slow`: the socket is parked because it takes too little, not because it asked for much. Undefined when the policy requires
 * the missed pushes and they are no longer remembered.
 */
export function stepsFrom(topic: Topic, from: Cursor, slow: boolean): Iterable<Step> | undefined {
  const { name, epoch, offset, memory, slowReaders } = topic;
  if (from.epoch === epoch && slow && slowReaders === "drop") {
    const unsent = { reason: "drop" as const, ...undeliveredAfter(topic, from) };
    return [{ message: droppedEvent(name, from.offset + 1, offset), isPush: false, cursor: cursorOf(topic), unsent }];
  }
  const missed = from.epoch === epoch ? memory.since(from.offset, offset, monotonicMs()) : undefined;
  if (missed)
    return slow && slowReaders === "conflate" ? newestOfEachKey(topic, from, missed) : allMissed(topic, from, missed);
  if (slow && slowReaders === "disconnect" && from.epoch === epoch) return undefined;
  const { message, cursor } = resetOf(topic);
  const step = { message, isPush: false, cursor };
  return [slow ? { ...step, unsent: { reason: "reset", ...between(from, cursor) } } : step];
}

function* allMissed(topic: Topic, from: Cursor, missed: readonly Remembered[]): Generator<Step> {
  let cursor = from;
  for (const { offset, push } of missed) {
    cursor = advanced(topic, cursor, { offset, messages: 1, bytes: push.length });
    yield { message: push, isPush: true, cursor };
  }
}

/**
 * The newest push of each key and all pushes without a key, in the order of offsets. Each names the one that was sent before
 * it, so that the receiver sees no gap. Only a newer value of the same key replaces a push.
 */
function* newestOfEachKey(topic: Topic, from: Cursor, missed: readonly Remembered[]): Generator<Step> {
  const lastOfKey = new Map(missed.map((entry) => [entry.key, entry.offset]));
  let cursor = from;
  let skipped = { messages: 0, bytes: 0 };
  for (const { offset, key, push } of missed) {
    const { messages, bytes } = skipped;
    if (key !== undefined && lastOfKey.get(key) !== offset) {
      skipped = { messages: messages + 1, bytes: bytes + push.length };
      continue;
    }
    const message = messages === 0 ? push : encodeAfter(cursor.offset, { topic: topic.name, offset, push });
    cursor = advanced(topic, cursor, { offset, messages: messages + 1, bytes: bytes + push.length });
    yield { message, isPush: true, cursor, ...(messages > 0 && { unsent: { reason: "conflate", messages, bytes } }) };
    skipped = { messages: 0, bytes: 0 };
  }
}

/**
 * The cursor after a message. The sums never exceed the present: a client that came with a position of its own begins before
 * what this worker delivered and counted.
 */
function advanced(
  { delivered, epoch }: Topic,
  cursor: Cursor,
  { offset, messages, bytes }: Undelivered & { readonly offset: number },
): Cursor {
  return {
    epoch,
    offset,
    messages: Math.min(delivered.messages, cursor.messages + messages),
    bytes: Math.min(delivered.bytes, cursor.bytes + bytes),
  };
}

export function countUndelivered(reason: UnsentReason, { messages, bytes }: Undelivered): void {
  counters[SLOT[`unsent_${reason}`]]! += messages;
  counters[SLOT[`unsentBytes_${reason}`]]! += bytes;
}
