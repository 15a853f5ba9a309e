/**
 * A growing buffer that is written from front to back, and its counterpart for reading: the encoding of the log's records.
 * Numbers are little-endian; texts are UTF-8 after their length in bytes. Pure. Reading past the end throws RangeError, which
 * the caller takes for damage.
 */
const FIRST_BYTES = 65_536;
/** A writer keeps this much between uses; a larger buffer was for one large topic and is released. */
const KEPT_BYTES = 1_048_576;

export class ByteWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  length = 0;

  /** What was written so far: a view that the next write may change. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafe(FIRST_BYTES);
  }

  #reserve(bytes: number): number {
    const at = this.length;
    const needed = at + bytes;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.length = needed;
    return at;
  }

  /** Leaves a gap for a value that is known later; returns its position. */
  skip(bytes: number): number {
    return this.#reserve(bytes);
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#bytes.writeUInt16LE(value, at);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#bytes.writeUInt32LE(value, at);
  }

  u32At(at: number, value: number): void {
    this.#bytes.writeUInt32LE(value, at);
  }

  u48(value: number): void {
    const at = this.#reserve(6);
    this.#bytes.writeUIntLE(value, at, 6);
  }

  f64(value: number): void {
    const at = this.#reserve(8);
    this.#bytes.writeDoubleLE(value, at);
  }

  f64At(at: number, value: number): void {
    this.#bytes.writeDoubleLE(value, at);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  text(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.u32(bytes);
    const at = this.#reserve(bytes);
    this.#bytes.write(text, at);
  }
}

export class ByteReader {
  readonly #source: Buffer;
  #at = 0;

  constructor(source: Buffer) {
    this.#source = source;
  }

  get left(): number {
    return this.#source.length - this.#at;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#source.length) throw new RangeError(`${bytes} bytes needed, ${this.left} left`);
    this.#at = at + bytes;
    return at;
  }

  u8(): number {
    return this.#source[this.#take(1)]!;
  }

  u16(): number {
    return this.#source.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#source.readUInt32LE(this.#take(4));
  }

  u48(): number {
    return this.#source.readUIntLE(this.#take(6), 6);
  }

  f64(): number {
    return this.#source.readDoubleLE(this.#take(8));
  }

  /** A view of the source. */
  raw(bytes: number): Buffer {
    const at = this.#take(bytes);
    return this.#source.subarray(at, at + bytes);
  }

  bytes(): Buffer {
    return this.raw(this.u32());
  }

  text(): string {
    return this.bytes().toString();
  }
}
