/**
 * What a parked socket is sent next of one topic, and where it stands after each message: missed pushes, or for a slow
 * reader what its topic's policy makes of them. Pure: reads the replica, decides, sends nothing.
 */
import { monotonicMs } from "../clock.js";
import { SLOT, type UnsentReason } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { droppedEvent } from "../protocol/messages.js";
import type { SharedMessage } from "../protocol/shared-message.js";
import type { Place } from "../topics/journal.js";
import type { Remembered } from "../topics/memory.js";
import { encodeAfter } from "../topics/publication.js";
import { placeOf, type Topic } from "../topics/topics.js";
import { resetOf } from "./answers.js";

export interface Undelivered {
  readonly messages: number;
  readonly bytes: number;
}

/** One message, and where its receiver stands then. */
export interface Step {
  readonly place: Place;
  readonly message: Uint8Array | SharedMessage;
  readonly isPush: boolean;
  /** What it is sent instead of. */
  readonly unsent?: Undelivered & { readonly reason: UnsentReason };
}

/** What was delivered on this worker between two places. */
const between = (from: Place, to: Place): Undelivered => ({
  messages: to.messages - from.messages,
  bytes: to.bytes - from.bytes,
});

export const behind = (topic: Topic, from: Place): Undelivered => between(from, placeOf(topic));

export const isBehind = (topic: Topic, { epoch, offset }: Place): boolean =>
  epoch !== topic.epoch || offset !== topic.offset;

/** How long a slow reader of `disconnect` topics has been slow, and how long it may be; milliseconds. */
export interface Grace {
  readonly slowForMs: number;
  readonly graceMs: number;
}

/**
 * Whether the topic's policy ends the connection of a slow reader that stands at `place`: it lacks something of a
 * `disconnect` topic, and has had its time or could not be sent it any more.
 */
export function mustGo(topic: Topic, place: Place, { slowForMs, graceMs }: Grace): boolean {
  if (topic.slowReaders !== "disconnect" || !isBehind(topic, place)) return false;
  return slowForMs >= graceMs || !isRemembered(topic, place);
}

/** A new numbering voids what was before for everybody: that is told by a reset, and nothing of it is missed. */
const isRemembered = ({ epoch, offset, memory }: Topic, place: Place): boolean =>
  place.epoch !== epoch || memory.reaches(place.offset, offset, monotonicMs());

/**
 * `slow`: the socket is parked because its buffer was full, not because it was sent much at its own wish. Undefined when
 * the policy lets it go on only with what it missed, and that is not remembered any more.
 */
export function stepsFrom(topic: Topic, from: Place, slow: boolean): Iterable<Step> | undefined {
  const { name, epoch, offset, memory, slowReaders } = topic;
  if (from.epoch === epoch && slow && slowReaders === "drop") {
    const unsent = { reason: "drop" as const, ...behind(topic, from) };
    return [{ message: droppedEvent(name, from.offset + 1, offset), isPush: false, place: placeOf(topic), unsent }];
  }
  const missed = from.epoch === epoch ? memory.since(from.offset, offset, monotonicMs()) : undefined;
  if (missed) return slow && slowReaders === "conflate" ? newest(topic, from, missed) : each(topic, from, missed);
  if (slow && slowReaders === "disconnect" && from.epoch === epoch) return undefined;
  const { message, place } = resetOf(topic);
  const step = { message, isPush: false, place };
  return [slow ? { ...step, unsent: { reason: "reset", ...between(from, place) } } : step];
}

function* each(topic: Topic, from: Place, missed: readonly Remembered[]): Generator<Step> {
  let place = from;
  for (const { offset, push } of missed) {
    place = passed(topic, place, offset, { messages: 1, bytes: push.length });
    yield { message: push, isPush: true, place };
  }
}

/**
 * The newest of each key and all that have none, in the order of offsets, each naming the one sent before it: the receiver
 * sees no gap. Only a newer value of the same key replaces anything.
 */
function* newest(topic: Topic, from: Place, missed: readonly Remembered[]): Generator<Step> {
  const lastOfKey = new Map(missed.map((entry) => [entry.key, entry.offset]));
  let place = from;
  let skipped = { messages: 0, bytes: 0 };
  for (const { offset, key, push } of missed) {
    const { messages, bytes } = skipped;
    if (key !== undefined && lastOfKey.get(key) !== offset) {
      skipped = { messages: messages + 1, bytes: bytes + push.length };
      continue;
    }
    const message = messages === 0 ? push : encodeAfter(place.offset, topic.name, offset, push);
    place = passed(topic, place, offset, { messages: messages + 1, bytes: bytes + push.length });
    yield { message, isPush: true, place, ...(messages > 0 && { unsent: { reason: "conflate", messages, bytes } }) };
    skipped = { messages: 0, bytes: 0 };
  }
}

/** A reader that came with a position of its own stands behind what was counted here: its account begins at the present. */
function passed(topic: Topic, place: Place, offset: number, { messages, bytes }: Undelivered): Place {
  const { delivered, epoch } = topic;
  return {
    epoch,
    offset,
    messages: Math.min(delivered.messages, place.messages + messages),
    bytes: Math.min(delivered.bytes, place.bytes + bytes),
  };
}

export function countUndelivered(reason: UnsentReason, { messages, bytes }: Undelivered): void {
  counters[SLOT[`unsent_${reason}`]]! += messages;
  counters[SLOT[`unsentBytes_${reason}`]]! += bytes;
}
