/**
 * Splits chunks of bytes into lines, wherever the chunks are cut. Pure. Holds at most one unfinished line, as a copy, so that no
 * chunk is pinned. A line over the limit throws as soon as its length is certain, not at its end.
 */
import { GatewayError } from "../errors.js";

const NEWLINE = 0x0a;
const FIRST_HOLD_BYTES = 4096;

export class Lines {
  readonly #maxBytes: number;
  #held = Buffer.alloc(0);
  #heldBytes = 0;
  /** Of the line that is being read, or that `onLine` has just got; counted from 1. */
  number = 1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** `onLine` gets each finished line without its line end; the bytes are valid only until it returns. */
  feed(chunk: Buffer, onLine: (line: Buffer) => void): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#finish(chunk.subarray(start, end), onLine);
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
  }

  /** The last line needs no line end. */
  end(onLine: (line: Buffer) => void): void {
    if (this.#heldBytes > 0) this.#finish(Buffer.alloc(0), onLine);
  }

  #finish(tail: Buffer, onLine: (line: Buffer) => void): void {
    let line = tail;
    if (this.#heldBytes > 0) {
      this.#hold(tail);
      line = this.#held.subarray(0, this.#heldBytes);
      this.#heldBytes = 0;
    } else {
      this.#check(tail.length);
    }
    onLine(line);
    this.number += 1;
  }

  #hold(part: Buffer): void {
    const bytes = this.#heldBytes + part.length;
    this.#check(bytes);
    if (bytes > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(bytes, this.#held.length * 2, FIRST_HOLD_BYTES));
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    part.copy(this.#held, this.#heldBytes);
    this.#heldBytes = bytes;
  }

  #check(bytes: number): void {
    if (bytes > this.#maxBytes) {
      throw new GatewayError("publicationTooBig", `the line has more than ${this.#maxBytes} bytes`);
    }
  }
}
