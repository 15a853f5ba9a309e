/**
 * A hub's start with its log: restores what the previous hub remembered, decides whether numbering goes on, and returns the log to
 * write to. Numbering goes on only if nothing can be missing that was visible outside; else every topic keeps its state and
 * gets a new epoch, which its subscribers learn by a `reset`. Hub process only.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { monotonicMs } from "../../clock.js";
import type { Log } from "../../log.js";
import type { Hub } from "../hub.js";
import { restoreRecord } from "../restore.js";
import type { StateSync } from "./chain.js";
import type { LogFile } from "./file.js";
import { readLog } from "./read.js";
import { Wal, type WalState } from "./wal.js";

export interface OpenOptions {
  readonly files: readonly LogFile[];
  /** False if the supervisor knows of offsets that were given out and are in no file. */
  readonly isWhole: boolean;
  readonly sync: StateSync;
  readonly log: Log;
  readonly onWritten: () => void;
  readonly onState: (state: WalState, detail: string) => Promise<void>;
}

/** First part of epochs: the time, so that a person sees their order, and random bytes, so that none repeats. */
export const newGeneration = (): string => `${Date.now().toString(36)}-${randomBytes(4).toString("hex")}`;

/** Throws NotALog, and what reading throws. */
export function openWal(hub: Hub, { files, isWhole, sync, log, onWritten, onState }: OpenOptions): Wal {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const beganMs = performance.now();
  const now = { boot, monotonicMs: monotonicMs(), wallMs: Date.now() };
  const read = readLog(files, now, (record, time) => restoreRecord(hub, record, time));
  const { session, chain, isClean, records } = read;
  const isContinued = read.isExact && isWhole;
  if (session && !isContinued) hub.newGeneration(newGeneration());
  if (session) {
    const milliseconds = Math.round(performance.now() - beganMs);
    const reason = read.reason || (isWhole ? undefined : "the log could not be written for a while");
    log(
      isContinued ? "info" : "warn",
      isContinued
        ? "topics read from the log; numbering goes on"
        : "topics read from the log; their states are kept, and numbering begins again, because something may be missing",
      { topics: hub.topics, records, milliseconds, ...(reason !== undefined && !isContinued && { reason }) },
    );
  }
  const wal = new Wal(
    {
      files,
      sync,
      log,
      onWritten,
      onState,
      images: () => hub.images(),
      epochCount: () => hub.epochCount,
    },
    { generation: hub.generation, boot, sequence: session?.sequence ?? 0, chain, isClean },
  );
  hub.log = wal;
  return wal;
}
