/**
 * The files of the log as one: which of them a reader would need, which one is written to, and the session record with which this
 * hub begins in each. Knows files and blocks, not what is in them; wal.ts decides when to switch to another file. Hub process only.
 */
import { monotonicMs } from "../../clock.js";
import { ByteWriter } from "./bytes.js";
import { beginBlock, type LogFile, type LogFileKind, sealBlock } from "./file.js";
import { type Session, writeRecord } from "./records.js";

/** A write that takes longer is counted and logged: the disk delays every publication. For syncs, ten times as much. */
const SLOW_MS = 100;

/** When files on disk are synced. none: when the kernel does it; second: once a second; each: with each block. */
export type StateSync = "none" | "second" | "each";

export interface ChainStart {
  readonly files: readonly LogFile[];
  readonly sync: StateSync;
  readonly generation: string;
  readonly boot: string;
  /** Of the newest file; 0 if there is none. */
  readonly sequence: number;
  /** Files that hold what was read, the newest last. */
  readonly chain: readonly LogFile[];
  readonly onSlow: (milliseconds: number) => void;
}

export class LogChain {
  readonly #start: ChainStart;
  /** Files that a reader would need, the one in use last. */
  #chain: LogFile[];
  #sequence: number;
  /** The file in use has this hub's session. It is written before the first block, so that a failed start changes no file. */
  #hasSession = false;
  #unsynced = false;
  blocks = 0;

  constructor(start: ChainStart) {
    this.#start = start;
    this.#chain = [...start.chain];
    this.#sequence = start.sequence;
  }

  get file(): LogFile | undefined {
    return this.#chain.at(-1);
  }

  /** Number of the file in use: a topic whose first publication is in it needs no image there. */
  get sequence(): number {
    return this.#sequence;
  }

  get hasSession(): boolean {
    return this.#hasSession;
  }

  /** The file in use does not hold everything by itself. */
  get needsOlderFiles(): boolean {
    return this.#chain.length > 1;
  }

  get bytes(): number {
    return this.#start.files.reduce((sum, { size }) => sum + size, 0);
  }

  get disk(): readonly LogFile[] {
    return this.#start.files.filter(({ kind }) => kind === "disk");
  }

  includes(file: LogFile): boolean {
    return this.#chain.includes(file);
  }

  /** A file that no reader needs. */
  spare(kind: LogFileKind): LogFile | undefined {
    return this.#start.files.find((file) => file.kind === kind && !this.#chain.includes(file));
  }

  /** Writes one block, and this hub's session before its first. Throws what the file throws. */
  append(block: Buffer, epochCount: number): void {
    if (!this.#hasSession) this.begin(epochCount);
    this.#append(block);
  }

  #append(block: Buffer): void {
    const beganMs = performance.now();
    const file = this.file!;
    file.append(block);
    if (this.#start.sync === "each") file.syncNow();
    this.#unsynced = true;
    this.blocks += 1;
    const tookMs = performance.now() - beganMs;
    if (tookMs > SLOW_MS) this.#start.onSlow(tookMs);
  }

  /** This hub's session: in the file that was read, or in an empty one, which then needs no older file. */
  begin(epochCount: number): void {
    if (this.file !== undefined) {
      this.#writeSession(epochCount, false);
      return;
    }
    const spare = this.spare("disk") ?? this.spare("memory");
    if (!spare) throw new Error("there is no file for the log");
    spare.empty();
    this.#chain = [spare];
    this.#sequence += 1;
    this.#writeSession(epochCount, true);
  }

  /** Writes go to `next` from now on. Throws if its first block cannot be written. */
  switchTo(next: LogFile, epochCount: number): void {
    next.empty();
    this.#chain.push(next);
    this.#sequence += 1;
    this.#hasSession = false;
    this.#writeSession(epochCount, false);
  }

  #writeSession(epochCount: number, isWhole: boolean): void {
    const out = new ByteWriter();
    beginBlock(out);
    const session: Session = {
      sequence: this.#sequence,
      generation: this.#start.generation,
      boot: this.#start.boot,
      inode: this.file!.inode,
      monotonicMs: monotonicMs(),
      wallMs: Date.now(),
      epochCount: epochCount,
    };
    writeRecord(out, { type: "session", session });
    if (isWhole) writeRecord(out, { type: "mark" });
    this.#append(sealBlock(out, session.monotonicMs));
    // If something before this session is missing, the session has a new generation, and is exact from there on (read.ts).
    this.file!.markStale(false);
    this.#hasSession = true;
  }

  /** The file could not be written to: it is no part of the chain. */
  drop(file: LogFile): void {
    this.#chain = this.#chain.filter((other) => other !== file);
  }

  /** The file in use holds everything by itself: syncs it, then empties the others. `done` gets the error, if there was one. */
  settle(done: (error: Error | null) => void): void {
    const file = this.file!;
    const older = this.#chain.slice(0, -1);
    file.sync((error) => {
      if (this.file !== file) return;
      if (!error) {
        // A memory file does not replace the files on disk: they are all that a restart of the gateway would find.
        for (const other of older) if (file.kind === "disk" || other.kind === "memory") other.empty();
        this.#chain = [file];
      }
      done(error);
    });
  }

  /** The files on disk will lack what comes from now on. Throws what the file system throws. */
  markStale(): void {
    for (const file of this.disk) file.markStale(true);
  }

  /** Once a second. `done` gets the error, if there was one. */
  syncSoon(done: (error: Error | null) => void): void {
    if (!this.#unsynced) return;
    this.#unsynced = false;
    const beganMs = performance.now();
    this.file?.sync((error) => {
      const tookMs = performance.now() - beganMs;
      if (tookMs > 10 * SLOW_MS) this.#start.onSlow(tookMs);
      done(error);
    });
  }
}
