/**
 * What the log holds, back into the hub: each record makes the change that it was written for. Runs before the hub has a log to
 * write to, so that nothing is recorded twice. Which files are read, and whether numbering goes on, is decided in
 * wal/. Hub process only.
 */
import type { Hub } from "./hub.js";
import { nameOf } from "./recent-ids.js";
import type { HubTopic } from "./topic-table.js";
import type { WalRecord } from "./wal/records.js";

/** When a record was written, and what the times in it must be shifted by, both in ms of the present monotonic clock. */
export interface RecordTime {
  readonly atMs: number;
  /** 0 unless the machine was restarted since. */
  readonly shiftMs: number;
}

/** Applies one record. The records of a log must come in the order of its files. */
export function restoreRecord(hub: Hub, record: WalRecord, time: RecordTime): void {
  switch (record.type) {
    case "session":
      if (hub.generation !== record.session.generation) hub.newGeneration(record.session.generation);
      hub.epochCount = Math.max(hub.epochCount, record.session.epochCount);
      return;
    case "publication":
      restorePublication(hub, record, time.atMs);
      return;
    case "image":
      restoreImage(hub, record, time.shiftMs);
      return;
    case "forget": {
      const topic = hub.table.find(record.topic);
      if (topic) hub.table.forget(topic);
      else hub.epochCount += 1;
      return;
    }
    case "ids":
      for (const id of record.ids) hub.ids.remember(shifted(id, time.shiftMs), hub.now());
      return;
    case "mark":
    case "clean":
      return;
    default:
      record satisfies never;
  }
}

function restorePublication(hub: Hub, record: WalRecord & { type: "publication" }, atMs: number): void {
  const { epoch, publication, id } = record;
  const { topic: name, offset, push } = publication;
  // The topic's image comes later in this file.
  if (!hub.table.find(name) && offset !== 1) return;
  const topic = restoreTopic(hub, name, { epoch, offset });
  if (id !== undefined)
    hub.ids.remember({ name: nameOf(name, id), epoch: hub.epochOf(topic), offset, atMs }, hub.now());
  const memory = push.length === 0 ? undefined : hub.table.memoryOf(topic);
  if (!memory) return;
  const before = memory.bytes;
  memory.add(publication, atMs);
  hub.table.remembered(memory, before);
}

function restoreImage(hub: Hub, { image }: WalRecord & { type: "image" }, shiftMs: number): void {
  const { topic: name, epoch, offset, history, state } = image;
  const memory = hub.table.memoryOf(restoreTopic(hub, name, { epoch, offset }));
  if (!memory) return;
  const before = memory.bytes;
  memory.restore(shiftMs === 0 ? history : history.map((entry) => shifted(entry, shiftMs)), state);
  hub.table.remembered(memory, before);
}

function restoreTopic(hub: Hub, name: string, { epoch, offset }: { epoch: number; offset: number }): HubTopic {
  const topic = hub.table.find(name) ?? hub.table.create(name, epoch);
  const isNew = topic.offset === 0;
  topic.epoch = epoch;
  topic.offset = offset;
  if (isNew && offset > 0) {
    hub.table.firstPublished(topic);
    // As if it had been followed until now: its followers may be about to come back.
    hub.table.unfollowed(topic);
  }
  return topic;
}

const shifted = <T extends { readonly atMs: number }>(entry: T, shiftMs: number): T => ({
  ...entry,
  atMs: entry.atMs + shiftMs,
});
