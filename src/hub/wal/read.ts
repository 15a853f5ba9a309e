/**
 * Reads the log back: which files are needed, in their order, and whether they are all that anybody has seen. Hands each record
 * to a fold and decides nothing else. Hub process only.
 *
 *   older file  … blocks …                       needed as long as the newer has no mark
 *   newer file  session, blocks, images …, mark
 */

import { type Block, type LogFile, NotALog } from "./file.js";
import type { WalRecord } from "./records.js";
import { readRecords, readTypes, type Session } from "./records.js";

/** This run of the program, on this boot of the machine. */
export interface Present {
  readonly boot: string;
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface ReadResult {
  /** The files that hold what was read, the newest last; empty where there is nothing. */
  readonly chain: readonly LogFile[];
  readonly session: Session | undefined;
  /** Nothing that anybody has seen is missing: numbering may go on. */
  readonly isExact: boolean;
  /** It ends with an orderly stop. */
  readonly isClean: boolean;
  /** Why not, for the log line. */
  readonly reason: string;
  readonly records: number;
}

/** `apply` gets each record, its time by the present clock, and what times in it lack to that clock, ms. Throws NotALog. */
export function readLog(
  files: readonly LogFile[],
  now: Present,
  apply: (record: WalRecord, atMs: number, shiftMs: number) => void,
): ReadResult {
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

/** What is known of the records so far. */
class Fold {
  session: Session | undefined;
  isClean = false;
  /** Why something may be missing. */
  reason = "";
  records = 0;
  #shiftMs = 0;

  constructor(
    private readonly now: Present,
    private readonly apply: (record: WalRecord, atMs: number, shiftMs: number) => void,
  ) {}

  take({ body, atMs }: Block): void {
    for (const record of readRecords(body)) {
      if (record.type === "session") this.#begin(record.session);
      this.isClean = record.type === "clean";
      this.records += 1;
      this.apply(record, atMs + this.#shiftMs, this.#shiftMs);
    }
  }

  #begin(next: Session): void {
    const { now, session } = this;
    if (session && next.sequence > session.sequence + 1) this.reason ||= "a file between two others is missing";
    // Numbering began again here because something was missing: from here on it is exact.
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

/** The newest file with a mark and all newer ones; all of them where none has a mark. */
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

/** Of the session with which it begins; undefined where it is empty, or not even its first block was written whole. */
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
