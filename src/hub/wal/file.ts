/**
 * One file of the log: a head, and blocks that are written whole or not at all. Its descriptor came from the supervisor, which
 * opened it (on disk under a lock, or in memory) and keeps it open when a hub dies. Hub process only.
 *
 *   head   "MGLOG002", u8 stale, 7 bytes of zero
 *   block  u32 magic, u32 bytes of the body, u32 crc32 of time and body, u32 zero, f64 monotonic ms, body
 *
 * A torn or short block is cut off: nothing of it was visible outside, because frames and answers leave after it is written.
 */
import { fdatasync, fdatasyncSync, fstatSync, ftruncateSync, readSync, writeSync, writevSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { ByteWriter } from "./bytes.js";

const MAGIC = "MGLOG002";
const HEAD_BYTES = 16;
const STALE_AT = 8;
const BLOCK_MAGIC = 0x4b42474d;
export const BLOCK_HEAD_BYTES = 24;
const TIME_AT = 16;
const WINDOW_BYTES = 4_194_304;

export type LogFileKind = "disk" | "memory";

/** The file was not written by this program: it is left unchanged. */
export class NotALog extends Error {}

/** A block's body, and the monotonic time at which it was written. The body is a view that the next block overwrites. */
export interface Block {
  readonly body: Buffer;
  readonly atMs: number;
}

/** Begins a block in a writer; `sealBlock` fills in its head. */
export function beginBlock(out: ByteWriter): void {
  out.clear();
  out.skip(BLOCK_HEAD_BYTES);
}

export function sealBlock(out: ByteWriter, atMs: number): Buffer {
  out.u32At(0, BLOCK_MAGIC);
  out.u32At(4, out.length - BLOCK_HEAD_BYTES);
  out.u32At(12, 0);
  out.f64At(TIME_AT, atMs);
  out.u32At(8, crc32(out.written.subarray(TIME_AT)));
  return out.written;
}

export class LogFile {
  /** End of the last whole block. */
  size = 0;
  /** There may be bytes after it; the next append cuts them off. */
  #isTorn = false;

  constructor(
    readonly fd: number,
    readonly kind: LogFileKind,
  ) {}

  /** Identifies the file together with the boot id: a copy has another inode. */
  get inode(): string {
    return String(fstatSync(this.fd, { bigint: true }).ino);
  }

  /** Whether a failed write made it incomplete (`markStale`). Throws NotALog. */
  isStale(): boolean {
    const head = Buffer.alloc(HEAD_BYTES);
    const read = readSync(this.fd, head, 0, HEAD_BYTES, 0);
    if (!MAGIC.startsWith(head.toString("latin1", 0, Math.min(read, MAGIC.length))))
      throw new NotALog("it is no log of Megagate, or one of another version");
    return head[STALE_AT] !== 0;
  }

  /** Yields all whole blocks and sets `size`. Returns true if the bytes after them are more than a torn last block. */
  *blocks(): Generator<Block, boolean> {
    const total = fstatSync(this.fd).size;
    this.size = 0;
    if (total > 0) this.isStale();
    let at = HEAD_BYTES;
    let window: Buffer = Buffer.alloc(0);
    let windowAt = at;
    const view = (from: number, bytes: number): Buffer => {
      if (from < windowAt || from + bytes > windowAt + window.length) {
        window = Buffer.allocUnsafe(Math.min(Math.max(bytes, WINDOW_BYTES), total - from));
        windowAt = from;
        readWhole(this.fd, window, from);
      }
      return window.subarray(from - windowAt, from - windowAt + bytes);
    };
    while (at + BLOCK_HEAD_BYTES <= total) {
      const head = view(at, BLOCK_HEAD_BYTES);
      const isHead = head.readUInt32LE(0) === BLOCK_MAGIC;
      const bytes = head.readUInt32LE(4);
      const end = at + BLOCK_HEAD_BYTES + bytes;
      if (!isHead) break;
      if (end > total) break;
      const whole = view(at, BLOCK_HEAD_BYTES + bytes);
      if (crc32(whole.subarray(TIME_AT)) !== whole.readUInt32LE(8)) {
        this.#isTorn = true;
        return end < total;
      }
      this.size = end;
      at = end;
      yield { body: whole.subarray(BLOCK_HEAD_BYTES), atMs: whole.readDoubleLE(TIME_AT) };
    }
    this.#isTorn = at < total;
    return (
      at + BLOCK_HEAD_BYTES <= total &&
      view(at, 4).readUInt32LE(0) !== BLOCK_MAGIC &&
      !isZero(view(at, BLOCK_HEAD_BYTES))
    );
  }

  /** Writes a whole block. Throws if the file system fails or writes less; the file then ends where it did before. */
  append(block: Uint8Array): void {
    try {
      if (this.#isTorn) ftruncateSync(this.fd, this.size);
      this.#isTorn = true;
      const parts = this.size === 0 ? [head(), block] : [block];
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      const written = writevSync(this.fd, parts, this.size);
      if (written < bytes) throw new Error(`ENOSPC: ${written} of ${bytes} bytes were written`);
      this.size += bytes;
      this.#isTorn = false;
    } catch (error) {
      this.#cut();
      throw error;
    }
  }

  /** Cuts off an incomplete block. If that fails too, the next append tries again, and a reader ignores the block. */
  #cut(): void {
    try {
      ftruncateSync(this.fd, this.size);
      this.#isTorn = false;
    } catch {
      this.#isTorn = true;
    }
  }

  empty(): void {
    ftruncateSync(this.fd, 0);
    this.size = 0;
    this.#isTorn = false;
  }

  /** Later publications will not be in this file: a reader that has only this file must begin new epochs. Needs no disk space. */
  markStale(isStale: boolean): void {
    if (this.size > 0) writeSync(this.fd, Buffer.of(isStale ? 1 : 0), 0, 1, STALE_AT);
  }

  syncNow(): void {
    if (this.kind === "disk") fdatasyncSync(this.fd);
  }

  /** `done` gets the error, if there was one. */
  sync(done: (error: Error | null) => void): void {
    if (this.kind === "disk") fdatasync(this.fd, done);
    else done(null);
  }
}

function readWhole(fd: number, into: Buffer, from: number): void {
  for (let got = 0; got < into.length; ) {
    const read = readSync(fd, into, got, into.length - got, from + got);
    if (read === 0) throw new Error("the file became shorter while it was read");
    got += read;
  }
}

function head(): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes.write(MAGIC, "latin1");
  return bytes;
}

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);
