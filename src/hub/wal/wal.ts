/**
 * The write-ahead log: what the hub remembers outlives its process. All changes of one turn of the loop become one block, which is
 * written before any frame or answer of that turn leaves: what is visible outside is in the log. Hub process only.
 *
 *   publish ─► Hub ─► record ─┐                       ┌─► frames leave (Acceptor.release)
 *                             ├─► end of turn: block ─┤
 *   file grows too large ─► images of all topics      └─► answers leave (`flushed`)
 *
 * Two files alternate. When one has grown, the log switches to the other, and writes an image of every topic to it, a few in each
 * turn, between the publications; with the mark after the last image the first file is emptied. If a write fails, the log goes
 * on in a memory file, and returns when the disk can be written again. Until then a restart of the whole gateway would lose
 * what came after the failure; the supervisor knows of it before anything of that turn is visible outside.
 */
import { monotonicMs } from "../../clock.js";
import { LOG_SWITCH_BYTES } from "../../config/capacity.js";
import type { Log } from "../../log.js";
import { ByteWriter } from "./bytes.js";
import { type ChainStart, LogChain, type StateSync } from "./chain.js";
import { BLOCK_HEAD_BYTES, beginBlock, type LogFile, sealBlock } from "./file.js";
import { type FramedPublication, type WalRecord, writePublication, writeRecord } from "./records.js";

/** Time for images in one turn of the loop. */
const IMAGES_MS = 2;
/** Between two attempts to return to a disk that failed. */
const RETURN_MS = 10_000;
const SYNC_MS = 1000;
/** Of images that are written without a pause at the end. */
const BLOCK_BYTES = 4_194_304;

/** Where the log is written: to the configured files, to memory because those failed, or nowhere. */
export type WalState = "ok" | "memory" | "none";

export interface WalOptions {
  readonly files: readonly LogFile[];
  readonly sync: StateSync;
  readonly log: Log;
  /** The idempotency ids and every topic as it stands, one record at a time. */
  readonly images: () => Iterator<WalRecord>;
  /** Topics forgotten so far. */
  readonly epochCount: () => number;
  /** A turn is in the log: its frames may leave. */
  readonly onWritten: () => void;
  /** Resolves when the supervisor has confirmed the state. */
  readonly onState: (state: WalState, detail: string) => Promise<void>;
}

export interface WalStart extends Pick<ChainStart, "generation" | "boot" | "sequence" | "chain"> {
  /** What was read ends with an orderly stop. */
  readonly isClean: boolean;
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export class Wal {
  readonly #options: WalOptions;
  readonly #chain: LogChain;
  readonly #records = new ByteWriter();
  readonly #images = new ByteWriter();
  #imaging: Iterator<WalRecord> | undefined;
  #imageBytes = 0;
  #lastImageBytes = 0;
  readonly #isClean: boolean;
  /** The previous hub died while it wrote images: the file in use needs all of them. */
  #needsImages: boolean;
  /** Topics forgotten, as of the last block that was written. */
  #forgotten: number;
  #scheduled = false;
  #failing = false;
  #state: WalState = "ok";
  #flushed: Deferred | undefined;
  /** Once writing has failed: the smaller of the disk files, which the log will return to. */
  #returnFile: LogFile | undefined;
  #returnTimer: NodeJS.Timeout | undefined;
  readonly #syncTimer: NodeJS.Timeout | undefined;
  failures = 0;
  slowWrites = 0;

  constructor(options: WalOptions, start: WalStart) {
    const { files, sync } = options;
    this.#options = options;
    this.#chain = new LogChain({ ...start, files, sync, onSlow: (milliseconds) => this.#slow(milliseconds) });
    this.#isClean = start.isClean;
    this.#needsImages = this.#chain.needsOlderFiles;
    this.#forgotten = options.epochCount();
    // How much of it is images is not known. With 3/4 of its size as a guess, it grows by half before the next switch.
    this.#lastImageBytes = (this.#chain.file?.size ?? 0) * 0.75;
    beginBlock(this.#records);
    beginBlock(this.#images);
    if (this.#chain.file?.kind === "memory" && this.#chain.disk.length > 0) {
      // The disk had failed under the previous hub.
      this.#state = "memory";
      this.#tryToReturn();
    }
    if (sync === "second") this.#syncTimer = setInterval(() => this.#sync(), SYNC_MS).unref();
  }

  get bytes(): number {
    return this.#chain.bytes;
  }

  get blocks(): number {
    return this.#chain.blocks;
  }

  /** Images are being written: until they are, hub and log may take three times the memory of the topics. */
  get isImaging(): boolean {
    return this.#imaging !== undefined;
  }

  get state(): WalState {
    return this.#state;
  }

  /** Number of the file in use: a topic whose first publication is in it needs no image there. */
  get sequence(): number {
    return this.#chain.sequence;
  }

  record(record: WalRecord): void {
    writeRecord(this.#records, record);
    this.schedule();
  }

  publication(publication: FramedPublication): void {
    writePublication(this.#records, publication);
    this.schedule();
  }

  /** A record, or a frame to a worker, waits for the end of the turn. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Not nextTick: it runs before the microtasks in which a publish goes on after an await, whose answer would leave first.
    setImmediate(() => this.#turn());
  }

  /** Undefined if everything recorded so far is in the log; else resolves when it is. Answers wait for it. */
  flushed(): Promise<void> | undefined {
    if (!this.#scheduled && !this.#failing) return undefined;
    this.#flushed ??= deferred();
    return this.#flushed.promise;
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#failing) return;
    const published = this.#records.length;
    if (!this.#write(this.#records)) return;
    this.#forgotten = this.#options.epochCount();
    this.#release();
    if (this.#imaging) this.#writeImages(published);
    else this.#switchIfFull();
  }

  #release(): void {
    this.#options.onWritten();
    const flushed = this.#flushed;
    this.#flushed = undefined;
    flushed?.resolve();
  }

  /** False if the block could not be written: `#failed` then goes on with it elsewhere. */
  #write(out: ByteWriter): boolean {
    if (out.length === BLOCK_HEAD_BYTES || this.#state === "none") {
      beginBlock(out);
      return true;
    }
    try {
      const isFirst = !this.#chain.hasSession;
      this.#chain.append(sealBlock(out, monotonicMs()), this.#forgotten);
      beginBlock(out);
      if (isFirst) this.#began();
      return true;
    } catch (error) {
      void this.#failed(error);
      return false;
    }
  }

  /** The first block of this hub is written. */
  #began(): void {
    if (this.#state === "ok") void this.#options.onState("ok", "");
    if (!this.#needsImages) return;
    this.#needsImages = false;
    this.#beginImages();
  }

  #slow(tookMs: number): void {
    this.slowWrites += 1;
    const message =
      "a write to the log took long; every publication waited for it: --state-dir must be a local, fast disk";
    this.#options.log("warn", message, { milliseconds: Math.round(tookMs) });
  }

  /** When the file in use has grown, switches to another of the same kind. */
  #switchIfFull(): void {
    const { file } = this.#chain;
    if (!file || file.size <= Math.max(LOG_SWITCH_BYTES, 2 * this.#lastImageBytes)) return;
    const next = this.#chain.spare(file.kind);
    if (!next) return;
    try {
      this.#switchTo(next);
    } catch (error) {
      void this.#failed(error);
    }
  }

  /** Throws if the first block cannot be written to it. */
  #switchTo(next: LogFile): void {
    this.#chain.switchTo(next, this.#forgotten);
    this.#needsImages = false;
    this.#beginImages();
  }

  #beginImages(): void {
    beginBlock(this.#images);
    this.#imageBytes = 0;
    this.#imaging = this.#options.images();
    this.schedule();
  }

  /** Writes images for `IMAGES_MS`, and at least as many bytes as this turn published, so that they come to an end. */
  #writeImages(minBytes: number): void {
    const untilMs = performance.now() + IMAGES_MS;
    let done = false;
    while (!done && (performance.now() < untilMs || this.#images.length < minBytes)) done = this.#oneImage();
    this.#imageBytes += this.#images.length;
    if (!this.#write(this.#images)) return;
    if (done) this.#marked();
    this.schedule();
  }

  /** Adds the next image. True if there was none left and the mark was added instead. */
  #oneImage(): boolean {
    const next = this.#imaging!.next();
    writeRecord(this.#images, next.done ? { type: "mark" } : next.value);
    return next.done === true;
  }

  #marked(): void {
    this.#imaging = undefined;
    this.#lastImageBytes = this.#imageBytes;
    this.#chain.settle((error) => {
      if (error) void this.#failed(error);
      else if (this.#chain.file?.kind === "disk" && this.#state !== "ok") this.#restored();
    });
  }

  #restored(): void {
    this.#state = "ok";
    this.#returnFile = undefined;
    clearInterval(this.#returnTimer);
    this.#returnTimer = undefined;
    this.#options.log("info", "the log is back in --state-dir; nothing is missing in it");
    void this.#options.onState("ok", "");
  }

  /** What could not be written waits, with every frame and answer, until the supervisor has confirmed that it knows. */
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
    if (!this.#continueIn(this.#chain.spare("memory"))) {
      this.#state = "none";
      const message = "the log could not go on in memory either: the death of the hub would lose what it remembers";
      this.#options.log("error", message);
      await this.#options.onState("none", detail);
    }
    this.#failing = false;
    this.#tryToReturn();
    this.#turn();
  }

  #markStale(): void {
    try {
      this.#chain.markStale();
    } catch (error) {
      this.#options.log("error", "the log on disk could not be marked as incomplete", { error: String(error) });
    }
  }

  #continueIn(file: LogFile | undefined): boolean {
    if (!file) return false;
    try {
      this.#switchTo(file);
      return true;
    } catch {
      this.#chain.drop(file);
      this.#imaging = undefined;
      return false;
    }
  }

  /** Chooses the same file each time: the other one holds what a restart of the gateway would find. */
  #tryToReturn(): void {
    const { disk } = this.#chain;
    this.#returnFile ??= disk.reduce((a, b) => (b.size < a.size ? b : a), disk[0]!);
    this.#returnTimer ??= setInterval(() => this.#return(), RETURN_MS).unref();
  }

  /** Tries the disk again, or memory if there is no log at all. */
  #return(): void {
    if (this.#failing || this.#imaging || this.#state === "ok") return;
    const file = this.#returnFile;
    if (file && !this.#chain.includes(file) && this.#continueIn(file)) return;
    if (this.#state === "none" && this.#continueIn(this.#chain.spare("memory"))) this.#state = "memory";
  }

  #sync(): void {
    this.#chain.syncSoon((error) => {
      if (error) this.#options.log("error", "the log could not be synced to the disk", { error: String(error) });
    });
  }

  /** The end of an orderly stop: writes what is left and a mark of the stop. Returns why that failed, or "". */
  close(): string {
    clearInterval(this.#syncTimer);
    clearInterval(this.#returnTimer);
    try {
      if (this.#state !== "ok") this.#saveAll();
      else if (!this.#write(this.#records)) return "the last write to the log failed";
      if (!this.#chain.hasSession && (this.#isClean || this.#chain.file === undefined)) return "";
      const out = new ByteWriter();
      beginBlock(out);
      writeRecord(out, { type: "clean" });
      this.#chain.append(sealBlock(out, monotonicMs()), this.#forgotten);
      this.#chain.file?.syncNow();
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** The log is in memory, which ends with the gateway: one last attempt to write all of it to the disk. Throws. */
  #saveAll(): void {
    const disk = this.#returnFile;
    if (!disk) return;
    this.#chain.drop(disk);
    try {
      this.#switchTo(disk);
      while (this.#imaging) {
        const done = this.#oneImage();
        if (!done && this.#images.length < BLOCK_BYTES) continue;
        this.#chain.append(sealBlock(this.#images, monotonicMs()), this.#forgotten);
        beginBlock(this.#images);
        if (done) this.#imaging = undefined;
      }
    } catch (error) {
      disk.empty();
      throw error;
    }
  }
}

function deferred(): Deferred {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
