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
import { type ChainStart, LogChain, type StateSync } from "./chain.js";
import { BLOCK_HEAD_BYTES, beginBlock, type LogFile, sealBlock } from "./file.js";
import { type WalRecord, writePublication, writeRecord } from "./records.js";

/** Time for images in one turn of the loop. */
const IMAGES_MS = 2;
/** Between two tries to come back to a disk that failed. */
const RETURN_MS = 10_000;
const SYNC_MS = 1000;
/** Of images that are written in one go at the end. */
const BLOCK_BYTES = 4_194_304;

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

export interface WalStart extends Pick<ChainStart, "generation" | "boot" | "sequence" | "chain"> {
  /** It ends with an orderly stop. */
  readonly isClean: boolean;
}

interface Pending {
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
  /** The hub before died while it wrote images: the last file needs all of them. */
  #needsImages: boolean;
  /** Topics forgotten, as far as it stands in the log. */
  #forgotten: number;
  #scheduled = false;
  #failing = false;
  #state: WalState = "ok";
  #pending: Pending | undefined;
  /** The disk file that a restart would need least, once writing has failed. */
  #returnFile: LogFile | undefined;
  #returning: NodeJS.Timeout | undefined;
  readonly #syncing: NodeJS.Timeout | undefined;
  failures = 0;
  slowWrites = 0;

  constructor(options: WalOptions, start: WalStart) {
    const { files, sync } = options;
    this.#options = options;
    this.#chain = new LogChain({ ...start, files, sync, onSlow: (milliseconds) => this.#slow(milliseconds) });
    this.#isClean = start.isClean;
    this.#needsImages = this.#chain.isHalf;
    this.#forgotten = options.forgotten();
    // Its images are not counted; so it grows by half before it is left.
    this.#lastImageBytes = (this.#chain.file?.size ?? 0) * 0.75;
    beginBlock(this.#records);
    beginBlock(this.#images);
    if (this.#chain.file?.kind === "memory" && this.#chain.disk.length > 0) {
      // The disk failed the hub before.
      this.#state = "memory";
      this.#tryToReturn();
    }
    if (sync === "second") this.#syncing = setInterval(() => this.#sync(), SYNC_MS).unref();
  }

  get bytes(): number {
    return this.#chain.bytes;
  }

  get blocks(): number {
    return this.#chain.blocks;
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
    return this.#chain.sequence;
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
    const published = this.#records.length;
    if (!this.#write(this.#records)) return;
    this.#forgotten = this.#options.forgotten();
    this.#release();
    if (this.#imaging) this.#writeImages(published);
    else this.#switchWhereFull();
  }

  #release(): void {
    this.#options.onWritten();
    const waiting = this.#pending;
    this.#pending = undefined;
    waiting?.resolve();
  }

  /** False where the block could not be written: the log then sees to it, and calls again. */
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

  /** The first block of this hub stands in a file that was there before. */
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

  /** A file that has grown is left for another one of the same kind. */
  #switchWhereFull(): void {
    const { file } = this.#chain;
    if (!file || file.size <= Math.max(LOG_SWITCH_BYTES, 2 * this.#lastImageBytes)) return;
    const next = this.#chain.spare(file.kind);
    if (!next) return;
    try {
      this.#goOver(next);
    } catch (error) {
      void this.#failed(error);
    }
  }

  /** Throws where its first block cannot be written. */
  #goOver(next: LogFile): void {
    this.#chain.goOver(next, this.#forgotten);
    this.#needsImages = false;
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
      this.#goOver(file);
      return true;
    } catch {
      this.#chain.drop(file);
      this.#imaging = undefined;
      return false;
    }
  }

  /** Into the same file each time: the other one holds what a restart of the gateway would find. */
  #tryToReturn(): void {
    const { disk } = this.#chain;
    this.#returnFile ??= disk.reduce((a, b) => (b.size < a.size ? b : a), disk[0]!);
    this.#returning ??= setInterval(() => this.#comeBack(), RETURN_MS).unref();
  }

  /** Tries the disk again, or memory where there is no log at all. */
  #comeBack(): void {
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

  /** The end of an orderly stop: everything is in the file, and marked. Returns why not, where it is not; "" where it is. */
  close(): string {
    clearInterval(this.#syncing);
    clearInterval(this.#returning);
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

  /** The log is in memory, which ends with the gateway: one last try to write all of it to the disk. Throws. */
  #saveAll(): void {
    const disk = this.#returnFile;
    if (!disk) return;
    this.#chain.drop(disk);
    try {
      this.#goOver(disk);
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

function pending(): Pending {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
