/**
 * Bytes between hub and worker: frames of u32 length (little-endian, of what follows), u8 type, body. Pure.
 * Control bodies are JSON, counters are raw float64, publications are packed: they are the only hot ones, and their
 * payload passes through unread. A frame that cannot be decoded throws; the caller cuts the link.
 */
import type { Publication } from "../topics/publication.js";

/** Longest frame that is believed; a longer one is a broken peer. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

export interface Hello {
  readonly type: "hello";
  readonly worker: number;
  readonly pid: number;
}
/** A worker wants a topic; with a position if it follows the topic already (after a broken link). */
export interface Want {
  readonly type: "want";
  readonly topic: string;
  readonly epoch?: string;
  readonly offset?: number;
}
export interface Unwant {
  readonly type: "unwant";
  readonly topic: string;
}
export interface Counters {
  readonly type: "counters";
  readonly values: Float64Array;
}
/** The hub's answer to `want`: where the topic stands. Publications after it follow on the same link. */
export interface Standing {
  readonly type: "standing";
  readonly topic: string;
  readonly epoch: string;
  readonly offset: number;
}
export interface Pushed extends Publication {
  readonly type: "publication";
}

export type ToHub = Hello | Want | Unwant | Counters;
export type ToWorker = Standing | Pushed;
export type Frame = ToHub | ToWorker;

const TYPES = ["hello", "want", "unwant", "standing", "counters", "publication"] as const;
const HEAD = 5;

export function encode(frame: Frame): Buffer {
  switch (frame.type) {
    case "counters": {
      const { values } = frame;
      return whole(frame.type, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    }
    case "publication":
      return encodePublication(frame);
    default:
      return whole(frame.type, Buffer.from(JSON.stringify(frame)));
  }
}

function whole(type: Frame["type"], body: Buffer): Buffer {
  const out = Buffer.allocUnsafe(HEAD + body.length);
  out.writeUInt32LE(body.length + 1, 0);
  out[4] = TYPES.indexOf(type);
  body.copy(out, HEAD);
  return out;
}

/** Body: u8 topic length, u48 offset, topic (ASCII by its grammar), push. */
export function encodePublication(publication: Publication): Buffer {
  const { topic, offset, push } = publication;
  const out = Buffer.allocUnsafe(HEAD + 7 + topic.length + push.length);
  out.writeUInt32LE(out.length - 4, 0);
  out[4] = TYPES.indexOf("publication");
  out[5] = topic.length;
  out.writeUIntLE(offset, 6, 6);
  out.write(topic, 12, "latin1");
  out.set(push, 12 + topic.length);
  return out;
}

/** Takes a stream apart. `push` of a publication is a view into the received chunk: copy what is kept. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  *read(chunk: Buffer): Generator<Frame> {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = Buffer.alloc(0);
    while (bytes.length >= 4) {
      const length = bytes.readUInt32LE(0);
      if (length < 1 || length > MAX_FRAME_BYTES) throw new RangeError(`frame of ${length} bytes`);
      if (bytes.length < 4 + length) break;
      yield decode(bytes.subarray(4, 4 + length));
      bytes = bytes.subarray(4 + length);
    }
    // Copied: a view would pin the whole received chunk until the next one comes.
    if (bytes.length > 0) this.#rest = Buffer.from(bytes);
  }
}

function decode(bytes: Buffer): Frame {
  const type = TYPES[bytes[0]!];
  switch (type) {
    case "counters": {
      const body = bytes.subarray(1);
      const values = new Float64Array(body.length / 8);
      for (let i = 0; i < values.length; i++) values[i] = body.readDoubleLE(i * 8);
      return { type, values };
    }
    case "publication": {
      const topicEnd = 8 + bytes[1]!;
      const topic = bytes.toString("latin1", 8, topicEnd);
      return { type, topic, offset: bytes.readUIntLE(2, 6), push: bytes.subarray(topicEnd) };
    }
    case undefined:
      throw new RangeError(`frame type ${bytes[0]}`);
    default:
      return JSON.parse(bytes.toString("utf8", 1)) as Frame;
  }
}
