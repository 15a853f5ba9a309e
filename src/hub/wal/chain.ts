/**
 * The files of the log as one: which of them a reader would need, which one is written to, and the session with which this hub
 * begins in each. Knows blocks and files, not what is in them; when to go over to another file is wal.ts. Hub process only.
 */
import { monotonicMs } from "../../clock.js";
import { ByteWriter } from "./bytes.js";
import { beginBlock, type LogFile, type LogFileKind, sealBlock } from "./file.js";
import { type Session, writeRecord } from "./records.js";

/** A write or sync that takes longer is counted and logged: the disk holds up every publication. */
const SLOW_MS = 100;

/** none: the kernel writes when it likes; second: once a second; each: before anything of a turn is seen. */
export type StateSync = "none" | "second" | "each";

export interface ChainStart {
  readonly files: readonly LogFile[];
  readonly sync: StateSync;
  readonly generation: string;
  readonly boot: string;
  /** Of the newest file; 0 where there is none. */
  readonly sequence: number;
  /** Files that hold what was read, the newest last. */
  readonly chain: readonly LogFile[];
  readonly onSlow: (milliseconds: number) => void;
}

export class LogChain {
  /** Files that a reader would need, the one in use last. */
  #chain: LogFile[];
  #sequence: number;
  /** The session of this hub stands in the file in use: it is written with the first record, so that a failed start changes nothing. */
  #hasSession = false;
  #unsynced = false;
  blocks = 0;

  constructor(private readonly start: ChainStart) {
    this.#chain = [...start.chain];
    this.#sequence = start.sequence;
  }

  get file(): LogFile | undefined {
    return this.#chain.at(-1);
  }

  /** Number of the file in use: a topic born in it needs no image there. */
  get sequence(): number {
    return this.#sequence;
  }

  get hasSession(): boolean {
    return this.#hasSession;
  }

  /** The file in use does not hold everything by itself. */
  get isHalf(): boolean {
    return this.#chain.length > 1;
  }

  get bytes(): number {
    return this.start.files.reduce((sum, { size }) => sum + size, 0);
  }

  get disk(): readonly LogFile[] {
    return this.start.files.filter(({ kind }) => kind === "disk");
  }

  includes(file: LogFile): boolean {
    return this.#chain.includes(file);
  }

  /** A file that no reader needs. */
  spare(kind: LogFileKind): LogFile | undefined {
    return this.start.files.find((file) => file.kind === kind && !this.#chain.includes(file));
  }

  /** Writes one block, after the session if it is the first of this hub. Throws what the file throws. */
  append(block: Buffer, forgotten: number): void {
    if (!this.#hasSession) this.begin(forgotten);
    this.#append(block);
  }

  #append(block: Buffer): void {
    const beganMs = performance.now();
    const file = this.file!;
    file.append(block);
    if (this.start.sync === "each") file.syncNow();
    this.#unsynced = true;
    this.blocks += 1;
    const tookMs = performance.now() - beganMs;
    if (tookMs > SLOW_MS) this.start.onSlow(tookMs);
  }

  /** The first block of this hub: in the file that was read, or in a new one, which is whole by itself. */
  begin(forgotten: number): void {
    if (this.file !== undefined) {
      this.#writeSession(forgotten, false);
      return;
    }
    const spare = this.spare("disk") ?? this.spare("memory");
    if (!spare) throw new Error("there is no file for the log");
    spare.empty();
    this.#chain = [spare];
    this.#sequence += 1;
    this.#writeSession(forgotten, true);
  }

  /** Everything goes to that file from now on. Throws where its first block cannot be written. */
  goOver(next: LogFile, forgotten: number): void {
    next.empty();
    this.#chain.push(next);
    this.#sequence += 1;
    this.#hasSession = false;
    this.#writeSession(forgotten, false);
  }

  #writeSession(forgotten: number, isWhole: boolean): void {
    const out = new ByteWriter();
    beginBlock(out);
    const session: Session = {
      sequence: this.#sequence,
      generation: this.start.generation,
      boot: this.start.boot,
      inode: this.file!.inode,
      monotonicMs: monotonicMs(),
      wallMs: Date.now(),
      forgotten,
    };
    writeRecord(out, { type: "session", session });
    if (isWhole) writeRecord(out, { type: "mark" });
    this.#append(sealBlock(out, session.monotonicMs));
    // What is missing before this session is accepted with its generation, which is another one then (read.ts).
    this.file!.markStale(false);
    this.#hasSession = true;
  }

  /** That file could not be begun. */
  drop(file: LogFile): void {
    this.#chain = this.#chain.filter((other) => other !== file);
  }

  /** The file in use is whole by itself: when it is on the disk, the others are emptied. `done` gets the error, if there was one. */
  settle(done: (error: Error | null) => void): void {
    const file = this.file!;
    const older = this.#chain.slice(0, -1);
    file.sync((error) => {
      if (this.file !== file) return;
      if (!error) {
        // A memory file does not take the place of what stands on the disk: that is all that a restart would find.
        for (const other of older) if (file.kind === "disk" || other.kind === "memory") other.empty();
        this.#chain = [file];
      }
      done(error);
    });
  }

  /** What stands on the disk lacks what comes from now on. Throws what the file system throws. */
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
      if (tookMs > 10 * SLOW_MS) this.start.onSlow(tookMs);
      done(error);
    });
  }
}
