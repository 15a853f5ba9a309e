/**
 * WebSocket frames as a client sees them (RFC 6455 §5): decodes the server's unmasked ones, encodes masked ones.
 * Pure; runs in generators. It shares no code with the gateway on purpose: a fault of the gateway must not be hidden by the
 * same fault here. Bytes of an incomplete frame are kept per socket until the frame is complete.
 */
import { randomBytes } from "node:crypto";

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Receives what was decoded, as bounds in a buffer: a call for each frame allocates nothing. Bytes are valid during the call only. */
export interface FrameSink {
  /** A whole text message. False ends the decoding: the socket was closed and forgotten. */
  text(fd: number, bytes: Buffer, from: number, to: number): boolean;
  /** A ping, pong or close frame. */
  control(fd: number, opcode: number, bytes: Buffer, from: number, to: number): boolean;
  /** The server broke the protocol. */
  violation(fd: number, why: string): void;
}

interface Fragments {
  readonly opcode: number;
  readonly parts: Buffer[];
}

/** The server may not send more than this to a client that reads at once. */
const MAX_PAYLOAD_BYTES = 16 * 2 ** 20;

export class FrameDecoder {
  readonly #sink: FrameSink;
  /** Bytes of an incomplete frame, by socket; nearly always empty. */
  readonly #rests = new Map<number, Buffer>();
  readonly #fragments = new Map<number, Fragments>();
  /** The present frame: its first byte and the bounds of its payload. */
  #first = 0;
  #payloadFrom = 0;
  #payloadTo = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Decodes what arrived in `bytes[from, to)`. */
  feed(fd: number, bytes: Buffer, from: number, to: number): void {
    let at = from;
    let end = to;
    let source = bytes;
    const rest = this.#rests.size > 0 ? this.#rests.get(fd) : undefined;
    if (rest) {
      this.#rests.delete(fd);
      source = Buffer.concat([rest, bytes.subarray(from, to)]);
      at = 0;
      end = source.length;
    }
    while (at < end) {
      const fault = this.#readHead(source, at, end);
      if (fault !== "") {
        this.forget(fd);
        this.#violation(fd, fault);
        return;
      }
      if (this.#payloadTo > end) {
        this.#rests.set(fd, Buffer.from(source.subarray(at, end)));
        return;
      }
      at = this.#payloadTo;
      if (!this.#frame(fd, source)) return;
    }
  }

  /** Drops what was kept for a socket that has ended. */
  forget(fd: number): void {
    if (this.#rests.size > 0) this.#rests.delete(fd);
    if (this.#fragments.size > 0) this.#fragments.delete(fd);
  }

  /** Sets the payload's bounds, beyond `end` when more bytes are needed. Returns the fault, or "". */
  #readHead(bytes: Buffer, at: number, end: number): string {
    this.#payloadTo = end + 1;
    if (end - at < 2) return "";
    const first = bytes[at]!;
    const second = bytes[at + 1]!;
    this.#first = first;
    const opcode = first & 0x0f;
    if ((first & 0x70) !== 0) return "reserved bits set";
    if (second >= 0x80) return "masked frame from the server";
    if (opcode > OPCODE.pong || (opcode > OPCODE.binary && opcode < OPCODE.close)) return `opcode ${opcode}`;
    if (opcode >= OPCODE.close && (first < 0x80 || second > 125)) return "long or fragmented control frame";
    let length = second;
    let head = 2;
    if (second === 126) {
      if (end - at < 4) return "";
      length = bytes.readUInt16BE(at + 2);
      head = 4;
    } else if (second === 127) {
      if (end - at < 10) return "";
      length = bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
      head = 10;
    }
    if (length > MAX_PAYLOAD_BYTES) return `frame of ${length} bytes`;
    this.#payloadFrom = at + head;
    this.#payloadTo = at + head + length;
    return "";
  }

  #frame(fd: number, bytes: Buffer): boolean {
    const from = this.#payloadFrom;
    const to = this.#payloadTo;
    const opcode = this.#first & 0x0f;
    if (opcode >= OPCODE.close) return this.#sink.control(fd, opcode, bytes, from, to);
    const begun = this.#fragments.size > 0 ? this.#fragments.get(fd) : undefined;
    if ((opcode === OPCODE.continuation) !== (begun !== undefined))
      return this.#violation(fd, "fragments out of order");
    if ((begun?.opcode ?? opcode) === OPCODE.binary) return this.#violation(fd, "binary message");
    const final = this.#first >= 0x80;
    if (final && !begun) return this.#sink.text(fd, bytes, from, to);
    const parts = begun?.parts ?? [];
    parts.push(Buffer.from(bytes.subarray(from, to)));
    if (!final) {
      if (!begun) this.#fragments.set(fd, { opcode, parts });
      return true;
    }
    this.#fragments.delete(fd);
    const whole = Buffer.concat(parts);
    return this.#sink.text(fd, whole, 0, whole.length);
  }

  #violation(fd: number, why: string): false {
    this.#sink.violation(fd, why);
    return false;
  }
}

const CLOSE_REASON_AT = 2;

/** The status of a close frame's payload; 1005 stands for "none given" (RFC 6455 §7.1.5). */
export const closeCode = (bytes: Buffer, from: number, to: number): number =>
  to - from >= CLOSE_REASON_AT ? bytes.readUInt16BE(from) : 1005;

/** A masked client frame. A frame that is sent many times keeps its mask, which no server can distinguish from a fresh one. */
export function clientFrame(opcode: number, payload: Uint8Array, mask: Uint8Array = randomBytes(4)): Buffer {
  const extended = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
  const frame = Buffer.alloc(2 + extended + 4 + payload.length);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (extended === 0 ? payload.length : extended === 2 ? 126 : 127);
  if (extended === 2) frame.writeUInt16BE(payload.length, 2);
  if (extended === 8) frame.writeBigUInt64BE(BigInt(payload.length), 2);
  frame.set(mask, 2 + extended);
  const at = 6 + extended;
  for (let i = 0; i < payload.length; i++) frame[at + i] = payload[i]! ^ mask[i & 3]!;
  return frame;
}

/** A close frame with a status and no reason. */
export function closeFrame(status: number): Buffer {
  const payload = Buffer.alloc(CLOSE_REASON_AT);
  payload.writeUInt16BE(status, 0);
  return clientFrame(OPCODE.close, payload);
}
