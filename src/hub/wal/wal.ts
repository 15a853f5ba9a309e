/**
 * The write-ahead log: what the hub remembers outlives its process. Everything that happens in one turn of the loop becomes one
 * block, written before any frame or answer of that turn leaves: what anybody has seen stands in the log. Hub process only.
 *
 *   publish ─► Hub ─► record ─┐                       ┌─► frames leave (Acceptor.release)
 *                             ├─► end of turn: block ─┤
 *   file grows too large ─► images of all topics      └─► answers leave (`flushed`)
 *
 * Two files take turns. A file that has grown is left for the other one, which gets an image of every topic, a little in each
 * turn, between the publications; with the mark behind the last image the first one is emptied. Where a write fails, the log
 * goes on in a memory file and comes back when the disk takes it again; meanwhile a restart of the whole gateway would lose
 * what came after the failure, which the supervisor is told before anybody sees it.
 */
import { monotonicMs } from "../../clock.js";
import { LOG_SWITCH_BYTES } from "../../config/capacity.js";
import type { Log } from "../../log.js";
import { ByteWriter } from "./bytes.js";
import { BLOCK_HEAD_BYTES, beginBlock, type LogFile, sealBlock } from "./file.js";
import { type Session, type WalRecord, writePublication, writeRecord } from "./records.js";

/** Time for images in one turn of the loop. */
const IMAGES_MS = 2;
/** A write or sync that takes longer is counted and logged: the disk holds up every publication. */
const SLOW_MS = 100;
/** Between two tries to come back to a disk that failed. */
const RETURN_MS = 10_000;
const SYNC_MS = 1000;

/** none: the kernel writes when it likes; second: once a second; each: before anything of a turn is seen. */
export type StateSync = "none" | "second" | "each";

/** Where the log stands: on the files that were asked for, in memory because those failed, or nowhere. */
export type WalState = "ok" | "memory" | "none";

export interface WalOptions {
  readonly files: readonly LogFile[];
  readonly sync: StateSync;
  readonly log: Log;
  /** Every topic as it stands, and the idempotency ids, a part at a time. */
  readonly images: () => Iterator<WalRecord>;
  /** Topics forgotten so far. */
  readonly forgotten: () => number;
  /** A turn is in the log: its frames may leave. */
  readonly onWritten: () => void;
  /** Resolves when the supervisor has heard it. */
  readonly onState: (state: WalState, detail: string) => Promise<void>;
}

export interface WalStart {
  readonly generation: string;
  readonly boot: string;
  /** Of the newest file; 0 where there is none. */
  readonly sequence: number;
  /** Files that hold what was read, the newest last. */
  readonly chain: readonly LogFile[];
  /** It ends with an orderly stop. */
  readonly isClean: boolean;
}

interface Pending {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export class Wal {
  readonly #options: WalOptions;
  readonly #generation: string;
  readonly #boot: string;
  #sequence: number;
  /** Files that a reader would need, the one in use last. */
  #chain: LogFile[];
  readonly #records = new ByteWriter();
  readonly #images = new ByteWriter();
  #imaging: Iterator<WalRecord> | undefined;
  #imageBytes = 0;
  #lastImageBytes = 0;
  /** The session of this hub stands in the file in use: it is written with the first record, so that a failed start changes nothing. */
  #hasSession = false;
  readonly #isClean: boolean;
  /** The last file has not got all images: the hub before died while it wrote them. */
  #isHalf: boolean;
  /** Topics forgotten, as far as it stands in the log. */
  #forgotten: number;
  #scheduled = false;
  #failing = false;
  #state: WalState = "ok";
  #pending: Pending | undefined;
  #unsynced = false;
  /** The disk file that a restart would need least, once writing has failed. */
  #returnFile: LogFile | undefined;
  #returning: NodeJS.Timeout | undefined;
  readonly #syncing: NodeJS.Timeout | undefined;
  failures = 0;
  slowWrites = 0;
  blocks = 0;

  constructor(options: WalOptions, { generation, boot, sequence, chain, isClean }: WalStart) {
    this.#options = options;
    this.#generation = generation;
    this.#boot = boot;
    this.#sequence = sequence;
    this.#chain = [...chain];
    this.#isClean = isClean;
    this.#isHalf = chain.length > 1;
    this.#forgotten = options.forgotten();
    // Its images are not counted; so it grows by half before it is left.
    this.#lastImageBytes = (this.#file?.size ?? 0) * 0.75;
    beginBlock(this.#records);
    beginBlock(this.#images);
    if (this.#file?.kind === "memory" && this.#options.files.some(({ kind }) => kind === "disk")) {
      // The disk failed the hub before.
      this.#state = "memory";
      this.#tryToReturn();
    }
    if (options.sync === "second") this.#syncing = setInterval(() => this.#syncSoon(), SYNC_MS).unref();
  }

  get bytes(): number {
    return this.#options.files.reduce((sum, { size }) => sum + size, 0);
  }

  /** Images are being written: hub and log may hold three times what topics remember. */
  get isImaging(): boolean {
    return this.#imaging !== undefined;
  }

  get state(): WalState {
    return this.#state;
  }

  /** Number of the file in use: a topic born in it needs no image there. */
  get sequence(): number {
    return this.#sequence;
  }

  get #file(): LogFile | undefined {
    return this.#chain.at(-1);
  }

  record(record: WalRecord): void {
    writeRecord(this.#records, record);
    this.schedule();
  }

  publication(epoch: number, frame: Uint8Array, id: string | undefined): void {
    writePublication(this.#records, epoch, frame, id);
    this.schedule();
  }

  /** Something waits for the end of the turn: a record, or a frame to a worker. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Not nextTick: that runs before the microtasks in which a publish goes on after an await, and its answer would leave first.
    setImmediate(() => this.#turn());
  }

  /** Resolves when everything that was recorded until now is in the log; undefined where it is. Answers wait for it. */
  flushed(): Promise<void> | undefined {
    if (!this.#scheduled && !this.#failing) return undefined;
    this.#pending ??= pending();
    return this.#pending.promise;
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#failing) return;
    const began = this.#records.length;
    if (!this.#write(this.#records)) return;
    this.#forgotten = this.#options.forgotten();
    this.#release();
    if (this.#imaging) this.#writeImages(began);
    else if ((this.#file?.size ?? 0) > Math.max(LOG_SWITCH_BYTES, 2 * this.#lastImageBytes)) this.#switch();
  }

  #release(): void {
    this.#options.onWritten();
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve();
  }

  /** False where the block could not be written: the log then sees to it, and calls again. */
  #write(out: ByteWriter): boolean {
    if (out.length === BLOCK_HEAD_BYTES || this.#state === "none") {
      beginBlock(out);
      return true;
    }
    try {
      if (!this.#hasSession) this.#begin();
      this.#append(sealBlock(out, monotonicMs()));
      beginBlock(out);
      return true;
    } catch (error) {
      void this.#failed(error);
      return false;
    }
  }

  #append(block: Buffer): void {
    const file = this.#file!;
    const beganMs = performance.now();
    file.append(block);
    if (this.#options.sync === "each") file.syncNow();
    this.#unsynced = true;
    this.blocks += 1;
    const tookMs = performance.now() - beganMs;
    if (tookMs > SLOW_MS) this.#slow(tookMs);
  }

  #slow(tookMs: number): void {
    this.slowWrites += 1;
    const message =
      "a write to the log took long; every publication waited for it: --state-dir must be a local, fast disk";
    this.#options.log("warn", message, { milliseconds: Math.round(tookMs) });
  }

  /** The first block of this hub: in the file that was read, or in a new one, which is whole by itself. */
  #begin(): void {
    const isNew = this.#file === undefined;
    if (isNew) {
      const spare = this.#spare("disk") ?? this.#spare("memory");
      if (!spare) throw new Error("there is no file for the log");
      spare.empty();
      this.#chain = [spare];
      this.#sequence += 1;
    }
    this.#writeSession(isNew);
    if (!this.#isHalf) return;
    this.#isHalf = false;
    this.#beginImages();
  }

  #writeSession(isWhole: boolean): void {
    const out = new ByteWriter();
    beginBlock(out);
    const session: Session = {
      sequence: this.#sequence,
      generation: this.#generation,
      boot: this.#boot,
      inode: this.#file!.inode,
      monotonicMs: monotonicMs(),
      wallMs: Date.now(),
      forgotten: this.#forgotten,
    };
    writeRecord(out, { type: "session", session });
    if (isWhole) writeRecord(out, { type: "mark" });
    this.#append(sealBlock(out, session.monotonicMs));
    // What is missing before this session is accepted with its generation, which is another one then (read.ts).
    this.#file!.markStale(false);
    this.#hasSession = true;
    if (this.#state === "ok") void this.#options.onState("ok", "");
  }

  #spare(kind: LogFile["kind"]): LogFile | undefined {
    return this.#options.files.find((file) => file.kind === kind && !this.#chain.includes(file));
  }

  /** Goes over to another file of the same kind. */
  #switch(): void {
    const { kind } = this.#file!;
    const next = this.#spare(kind);
    if (!next) return;
    try {
      this.#goOver(next);
    } catch (error) {
      void this.#failed(error);
    }
  }

  /** Everything goes to that file from now on, and images of all topics with it. Throws where its first block cannot be written. */
  #goOver(next: LogFile): void {
    next.empty();
    this.#chain.push(next);
    this.#sequence += 1;
    this.#hasSession = false;
    this.#writeSession(false);
    this.#isHalf = false;
    this.#beginImages();
  }

  #beginImages(): void {
    beginBlock(this.#images);
    this.#imageBytes = 0;
    this.#imaging = this.#options.images();
    this.schedule();
  }

  /** At least as many bytes as were published in this turn, so that the file comes to an end. */
  #writeImages(atLeast: number): void {
    const untilMs = performance.now() + IMAGES_MS;
    let done = false;
    while (!done && (performance.now() < untilMs || this.#images.length < atLeast)) done = this.#oneImage();
    this.#imageBytes += this.#images.length;
    if (!this.#write(this.#images)) return;
    if (done) this.#marked();
    this.schedule();
  }

  /** True when the last one and the mark are written. */
  #oneImage(): boolean {
    const next = this.#imaging!.next();
    writeRecord(this.#images, next.done ? { type: "mark" } : next.value);
    return next.done === true;
  }

  /** This file is whole by itself: the others are emptied when it is on the disk. */
  #marked(): void {
    this.#imaging = undefined;
    this.#lastImageBytes = this.#imageBytes;
    const file = this.#file!;
    const older = this.#chain.slice(0, -1);
    file.sync((error) => {
      if (this.#file !== file) return;
      if (error) {
        void this.#failed(error);
        return;
      }
      // A memory file does not take the place of what stands on the disk: that is all that a restart would find.
      for (const other of older) if (file.kind === "disk" || other.kind === "memory") other.empty();
      this.#chain = [file];
      if (file.kind === "disk" && this.#state !== "ok") this.#restored();
    });
  }

  #restored(): void {
    this.#state = "ok";
    this.#returnFile = undefined;
    clearInterval(this.#returning);
    this.#returning = undefined;
    this.#options.log("info", "the log is back in --state-dir; nothing is missing in it");
    void this.#options.onState("ok", "");
  }

  /** What could not be written waits, with every frame and answer, until the supervisor knows. */
  async #failed(error: unknown): Promise<void> {
    this.failures += 1;
    this.#failing = true;
    this.#imaging = undefined;
    const before = this.#state;
    const detail = error instanceof Error ? error.message : String(error);
    this.#markStale();
    if (before === "ok") {
      const message =
        "a write to the log failed; it goes on in memory: a restart of the whole gateway would lose what topics remember since now";
      this.#options.log("error", message, { error: detail });
      await this.#options.onState("memory", detail);
    }
    this.#state = "memory";
    if (!this.#continueIn(this.#spare("memory"))) {
      this.#state = "none";
      this.#options.log(
        "error",
        "the log could not go on in memory either: the death of the hub would lose what it remembers",
      );
      await this.#options.onState("none", detail);
    }
    this.#failing = false;
    this.#tryToReturn();
    this.#turn();
  }

  /** Into the same file each time: the other one holds what a restart of the gateway would find. */
  #tryToReturn(): void {
    const disk = this.#options.files.filter(({ kind }) => kind === "disk");
    this.#returnFile ??= disk.reduce((a, b) => (b.size < a.size ? b : a), disk[0]!);
    this.#returning ??= setInterval(() => this.#comeBack(), RETURN_MS).unref();
  }

  #markStale(): void {
    for (const file of this.#options.files) {
      if (file.kind !== "disk") continue;
      try {
        file.markStale(true);
      } catch (error) {
        this.#options.log("error", "the log on disk could not be marked as incomplete", { error: String(error) });
      }
    }
  }

  #continueIn(file: LogFile | undefined): boolean {
    if (!file) return false;
    try {
      this.#goOver(file);
      return true;
    } catch {
      this.#chain = this.#chain.filter((other) => other !== file);
      this.#imaging = undefined;
      return false;
    }
  }

  /** Tries the disk again, or memory where there is no log at all. */
  #comeBack(): void {
    if (this.#failing || this.#imaging || this.#state === "ok") return;
    const file = this.#returnFile;
    if (file && !this.#chain.includes(file) && this.#continueIn(file)) return;
    if (this.#state === "none" && this.#continueIn(this.#spare("memory"))) this.#state = "memory";
  }

  #syncSoon(): void {
    if (!this.#unsynced) return;
    this.#unsynced = false;
    const beganMs = performance.now();
    this.#file?.sync((error) => {
      const tookMs = performance.now() - beganMs;
      if (error) this.#options.log("error", "the log could not be synced to the disk", { error: String(error) });
      else if (tookMs > 10 * SLOW_MS) this.#slow(tookMs);
    });
  }

  /** The end of an orderly stop: everything is in the file, and marked. Returns why not, where it is not; "" where it is. */
  close(): string {
    clearInterval(this.#syncing);
    clearInterval(this.#returning);
    try {
      if (this.#state !== "ok") this.#saveAll();
      else if (this.#records.length > BLOCK_HEAD_BYTES && !this.#write(this.#records))
        return "the last write to the log failed";
      if (!this.#hasSession && (this.#isClean || this.#file === undefined)) return "";
      if (!this.#hasSession) this.#begin();
      const out = new ByteWriter();
      beginBlock(out);
      writeRecord(out, { type: "clean" });
      this.#append(sealBlock(out, monotonicMs()));
      this.#file?.syncNow();
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** The log is in memory, which ends with the gateway: one last try to write all of it to the disk. Throws. */
  #saveAll(): void {
    const disk = this.#returnFile;
    if (!disk) return;
    this.#chain = this.#chain.filter((file) => file !== disk);
    try {
      this.#goOver(disk);
      while (this.#imaging) {
        const done = this.#oneImage();
        if (!done && this.#images.length < LOG_SWITCH_BYTES / 16) continue;
        this.#append(sealBlock(this.#images, monotonicMs()));
        beginBlock(this.#images);
        if (done) this.#imaging = undefined;
      }
    } catch (error) {
      disk.empty();
      throw error;
    }
  }
}

function pending(): Pending {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
