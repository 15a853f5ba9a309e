/**
 * Reads the log back: finds the files that are needed, passes their records on in order, and judges whether something that was
 * visible outside may be missing. Hub process only.
 *
 *   older file  … blocks …                       needed as long as the newer file has no mark
 *   newer file  session, blocks, images …, mark
 */
import type { RecordTime } from "../restore.js";
import { type Block, type LogFile, NotALog } from "./file.js";
import { readRecords, readTypes, type Session, type WalRecord } from "./records.js";

/** This boot of the machine, and its two clocks at one moment. */
export interface BootClock {
  readonly boot: string;
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface ReadResult {
  /** The files that hold what was read, the newest last; empty if there is nothing. */
  readonly chain: readonly LogFile[];
  readonly session: Session | undefined;
  /** Nothing is missing that was visible outside: numbering may go on. */
  readonly isExact: boolean;
  /** It ends with an orderly stop. */
  readonly isClean: boolean;
  /** Why it is not exact, for the log line; "" if it is. */
  readonly reason: string;
  readonly records: number;
}

type Apply = (record: WalRecord, time: RecordTime) => void;

/** Calls `apply` for each record, in the order in which they were written. Throws NotALog. */
export function readLog(files: readonly LogFile[], now: BootClock, apply: Apply): ReadResult {
  const chain = chainOf(files);
  const fold = new Fold(now, apply);
  for (const file of chain) {
    if (forEachBlock(file, (block) => fold.take(block))) fold.reason ||= "a block in the middle is damaged";
  }
  const { session, isClean, records } = fold;
  const last = chain.at(-1);
  if (last && session) {
    if (last.isStale()) fold.reason ||= "writing failed, and what came after it was kept in memory only";
    if (!isClean && (session.boot !== now.boot || session.inode !== last.inode))
      fold.reason ||= "the machine was restarted without an orderly stop, or the file is a copy";
  }
  const { reason } = fold;
  return { chain, session, isExact: reason === "", isClean, reason, records };
}

/** Passes records on, and collects what they show about the log. */
class Fold {
  readonly #now: BootClock;
  readonly #apply: Apply;
  session: Session | undefined;
  isClean = false;
  /** Why something may be missing. */
  reason = "";
  records = 0;
  #shiftMs = 0;

  constructor(now: BootClock, apply: Apply) {
    this.#now = now;
    this.#apply = apply;
  }

  take({ body, atMs }: Block): void {
    for (const record of readRecords(body)) {
      if (record.type === "session") this.#begin(record.session);
      this.isClean = record.type === "clean";
      this.records += 1;
      this.#apply(record, { atMs: atMs + this.#shiftMs, shiftMs: this.#shiftMs });
    }
  }

  #begin(next: Session): void {
    const { session } = this;
    const now = this.#now;
    if (session && next.sequence > session.sequence + 1) this.reason ||= "a file between two others is missing";
    // A hub began new epochs here because something was missing: the log is exact from here on.
    if (session && next.generation !== session.generation) this.reason = "";
    this.session = next;
    this.#shiftMs = now.boot === next.boot ? 0 : now.monotonicMs - now.wallMs - (next.monotonicMs - next.wallMs);
  }
}

function forEachBlock(file: LogFile, take: (block: Block) => void): boolean {
  const blocks = file.blocks();
  for (let next = blocks.next(); ; next = blocks.next()) {
    if (next.done) return next.value;
    take(next.value);
  }
}

/** The newest file with a mark, and all newer ones; all files if none has a mark. */
function chainOf(files: readonly LogFile[]): LogFile[] {
  const heads = files.flatMap((file) => {
    const sequence = sequenceOf(file);
    return sequence === undefined ? [] : [{ file, sequence }];
  });
  heads.sort((a, b) => b.sequence - a.sequence);
  const chain: LogFile[] = [];
  for (const { file } of heads) {
    chain.unshift(file);
    if (hasMark(file)) break;
  }
  return chain;
}

/** Of the session with which the file begins; undefined if the file is empty or its first block is torn. */
function sequenceOf(file: LogFile): number | undefined {
  const first = file.blocks().next();
  if (first.done) {
    if (first.value) throw new NotALog("it begins with something else");
    return undefined;
  }
  for (const record of readRecords(first.value.body)) {
    if (record.type === "session") return record.session.sequence;
    break;
  }
  throw new NotALog("it does not begin with a session");
}

function hasMark(file: LogFile): boolean {
  for (const { body } of file.blocks()) for (const type of readTypes(body)) if (type === "mark") return true;
  return false;
}
