/**
 * The frames between hub and worker: u32 length of what follows (little-endian), u8 type, body. Pure.
 * Control frames have JSON bodies, counters are raw float64, publications are packed: only they are hot, and their
 * payload is passed on unparsed. A frame that cannot be decoded throws; the caller cuts the link.
 */
import type { SlowReader } from "../metrics/slow-reader.js";
import type { Remembered, StateEntry } from "../topics/memory.js";
import { type Publication, pushHead } from "../topics/publication.js";

/** Longest frame that is accepted; a greater length means a broken peer. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** Raised with each change of the frames below: processes of two program versions must not misread each other's frames. */
export const WIRE_VERSION = 2;

export interface Hello {
  readonly type: "hello";
  readonly version: number;
  readonly worker: number;
  readonly pid: number;
  /** From the supervisor, the same for the hub and all its workers. It tells apart two gateways that share a run directory. */
  readonly token: string;
}
/** The hub will not serve this worker, and closes the link after this frame. */
export interface LinkRefused {
  readonly type: "refused";
  readonly reason: string;
}
/**
 * A worker asks for a topic, and for every publication after the answer. `request` rises with each request of a worker, and the
 * answer repeats it: only the answer to the latest request is installed. With the worker's position if it has the topic already.
 */
export interface Follow {
  readonly type: "follow";
  readonly topic: string;
  readonly request: number;
  readonly epoch?: string;
  readonly offset?: number;
}
export interface Unfollow {
  readonly type: "unfollow";
  readonly topic: string;
}
/** On a new link: the worker has asked again for everything that it follows or waits for. */
export interface Relinked {
  readonly type: "relinked";
}
/** Topics that the worker expects to be served, a share of them at a time. The hub answers with those that it does not serve. */
export interface Compare {
  readonly type: "compare";
  readonly topics: readonly string[];
}
export interface Unserved {
  readonly type: "unserved";
  readonly topics: readonly string[];
}
export interface CountersFrame {
  readonly type: "counters";
  readonly values: Float64Array;
}
/** One remembered publication in a control frame: offset, monotonic time in ms, push as text, and the key if it has one. */
export type WireEntry = readonly [offset: number, atMs: number, push: string, key?: string];

/** A topic's position, and what is remembered of it. */
export interface TopicImage {
  readonly topic: string;
  readonly epoch: string;
  readonly offset: number;
  readonly history: readonly WireEntry[];
  /** Absent if `history` holds only the publications after the worker's own position. */
  readonly state?: readonly StateEntry[];
}
/** The hub's answer to `follow`. Publications after it follow on the same link. */
export interface TopicSync extends TopicImage {
  readonly type: "topicSync";
  readonly request: number;
}
/** The hub does not serve the topic: names that nobody has published to fill their share of --topic-memory-bytes. */
export interface FollowRefused {
  readonly type: "followRefused";
  readonly topic: string;
  readonly request: number;
}
/** The hub accepts the `hello`; its first frame. */
export interface Welcome {
  readonly type: "welcome";
}
/** The hub asks how many sockets of this worker subscribe to one topic or to each of many, or for its slowest readers. */
export type WorkerQuestion =
  | { readonly topic: string }
  | { readonly topics: readonly string[] }
  | { readonly slowest: number };
export interface Ask {
  readonly type: "ask";
  readonly id: number;
  readonly question: WorkerQuestion;
}
/** Subscribers of the topic, or of each topic, or the slowest readers, the worst first. */
export interface Reply {
  readonly type: "reply";
  readonly id: number;
  readonly subscribers?: number;
  /** Of each of many, in the order of the question. */
  readonly counts?: readonly number[];
  readonly readers?: readonly SlowReader[];
}
/** Live connections of an address in one worker; 0 after the last has closed. */
export type WorkerAddressCount = readonly [address: string, count: number];
/** The counts that have changed since the worker's last report. */
export interface AddressReport {
  readonly type: "addresses";
  readonly counts: readonly WorkerAddressCount[];
}
/** Addresses that have reached --connections-per-address over all workers, and those that no longer do. */
export interface AtLimit {
  readonly type: "atLimit";
  readonly yes: readonly string[];
  readonly no: readonly string[];
}
/** Addresses in one frame of either type: at 50 bytes each, a quarter of a megabyte. */
export const ADDRESSES_A_FRAME = 5000;
export interface Pushed extends Publication {
  readonly type: "publication";
}

export type ToHub = Hello | Follow | Unfollow | Relinked | Compare | CountersFrame | Reply | AddressReport;
export type ToWorker = LinkRefused | Welcome | TopicSync | FollowRefused | Unserved | Ask | Pushed | AtLimit;
export type Frame = ToHub | ToWorker;

const TYPES = [
  "hello",
  "refused",
  "welcome",
  "follow",
  "unfollow",
  "topicSync",
  "followRefused",
  "relinked",
  "compare",
  "unserved",
  "counters",
  "publication",
  "ask",
  "reply",
  "addresses",
  "atLimit",
] as const;
const HEAD_BYTES = 5;
const PUBLICATION_HEAD_BYTES = 9;
const NO_BYTES = Buffer.alloc(0);
const CLOSING_BRACE = 0x7d;

export function encode(frame: Frame): Buffer {
  switch (frame.type) {
    case "counters": {
      const { values } = frame;
      return whole(frame.type, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    }
    case "publication":
      return encodePublication(frame);
    default:
      return control(frame.type, JSON.stringify(frame));
  }
}

/** Not from Node's buffer pool: there it would share a slab with pushes that are kept, and live as long as they do. */
function control(type: Frame["type"], text: string): Buffer {
  const bytes = Buffer.byteLength(text);
  const out = Buffer.allocUnsafeSlow(HEAD_BYTES + bytes);
  out.writeUInt32LE(bytes + 1, 0);
  out[4] = TYPES.indexOf(type);
  out.write(text, HEAD_BYTES);
  return out;
}

function whole(type: Frame["type"], body: Buffer): Buffer {
  const out = Buffer.allocUnsafe(HEAD_BYTES + body.length);
  out.writeUInt32LE(body.length + 1, 0);
  out[4] = TYPES.indexOf(type);
  body.copy(out, HEAD_BYTES);
  return out;
}

/** Body: u8 topic length, u16 key length + 1 (0: none), u48 offset, topic (ASCII by its grammar), key, push. */
export function encodePublication(publication: Publication): Buffer {
  const { topic, offset, key, push } = publication;
  const keyBytes = key === undefined ? NO_BYTES : Buffer.from(key);
  const keyAt = HEAD_BYTES + PUBLICATION_HEAD_BYTES + topic.length;
  const out = Buffer.allocUnsafe(keyAt + keyBytes.length + push.length);
  writePublicationHead(out, { topic, offset, keyField: key === undefined ? 0 : keyBytes.length + 1 });
  out.set(keyBytes, keyAt);
  out.set(push, keyAt + keyBytes.length);
  return out;
}

/**
 * A new publication as a frame, and its push as a view of the same bytes, so that a history that keeps the push keeps nothing
 * else alive. (With two buffers the push shared a slab with a frame that was no longer needed: 140 bytes more for each.)
 */
export function encodeNew(draft: {
  readonly topic: string;
  readonly offset: number;
  readonly key?: string | undefined;
  readonly data: string;
}): { readonly frame: Buffer; readonly push: Buffer } {
  const { topic, offset, key, data } = draft;
  const head = pushHead(topic, offset, key);
  const keyLength = key === undefined ? 0 : Buffer.byteLength(key);
  const headBytes = Buffer.byteLength(head);
  const keyAt = HEAD_BYTES + PUBLICATION_HEAD_BYTES + topic.length;
  const pushAt = keyAt + keyLength;
  const frame = Buffer.allocUnsafe(pushAt + headBytes + Buffer.byteLength(data) + 1);
  writePublicationHead(frame, { topic, offset, keyField: key === undefined ? 0 : keyLength + 1 });
  if (key !== undefined) frame.write(key, keyAt);
  frame.write(head, pushAt);
  frame.write(data, pushAt + headBytes);
  frame[frame.length - 1] = CLOSING_BRACE;
  return { frame, push: frame.subarray(pushAt) };
}

interface PublicationHead {
  readonly topic: string;
  readonly offset: number;
  /** Length of the key + 1; 0: no key. */
  readonly keyField: number;
}

function writePublicationHead(out: Buffer, { topic, offset, keyField }: PublicationHead): void {
  out.writeUInt32LE(out.length - 4, 0);
  out[4] = TYPES.indexOf("publication");
  out[5] = topic.length;
  out.writeUInt16LE(keyField, 6);
  out.writeUIntLE(offset, 8, 6);
  out.write(topic, 14, "latin1");
}

/**
 * Splits a stream into frames. Copies each byte at most twice, however the stream is cut: chunks of an incomplete frame are only
 * collected. `push` of a publication is a view into the received chunk: copy it to keep it.
 */
export class FrameReader {
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** Bytes needed before the next step: those of a length field, or of the whole frame that has begun. */
  #needed = 4;

  *read(chunk: Buffer): Generator<Frame> {
    this.#keep(chunk);
    if (this.#restBytes < this.#needed) return;
    let bytes = this.#rest.length === 1 ? chunk : Buffer.concat(this.#rest, this.#restBytes);
    this.#rest = [];
    this.#restBytes = 0;
    this.#needed = 4;
    while (bytes.length >= 4) {
      const length = bytes.readUInt32LE(0);
      if (length < 1 || length > MAX_FRAME_BYTES) throw new RangeError(`frame of ${length} bytes`);
      if (bytes.length < 4 + length) {
        this.#needed = 4 + length;
        break;
      }
      yield decode(bytes.subarray(4, 4 + length));
      bytes = bytes.subarray(4 + length);
    }
    // A copy: a view would pin the whole received chunk until the next one comes.
    if (bytes.length > 0) this.#keep(Buffer.from(bytes));
  }

  #keep(bytes: Buffer): void {
    this.#rest.push(bytes);
    this.#restBytes += bytes.length;
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
    case "publication":
      return decodePublication(bytes);
    case undefined:
      throw new RangeError(`frame type ${bytes[0]}`);
    default:
      return JSON.parse(bytes.toString("utf8", 1)) as Frame;
  }
}

function decodePublication(bytes: Buffer): Pushed {
  const topicEnd = 1 + PUBLICATION_HEAD_BYTES + bytes[1]!;
  const keyLength = bytes.readUInt16LE(2);
  const keyEnd = topicEnd + Math.max(0, keyLength - 1);
  const key = keyLength === 0 ? undefined : bytes.toString("utf8", topicEnd, keyEnd);
  const topic = bytes.toString("latin1", 1 + PUBLICATION_HEAD_BYTES, topicEnd);
  const offset = bytes.readUIntLE(4, 6);
  const push = bytes.subarray(keyEnd);
  return key === undefined
    ? { type: "publication", topic, offset, push }
    : { type: "publication", topic, offset, key, push };
}

export const toWire = (history: readonly Remembered[]): WireEntry[] =>
  history.map(({ offset, atMs, push, key }) => {
    const text = Buffer.from(push.buffer, push.byteOffset, push.byteLength).toString();
    return key === undefined ? [offset, atMs, text] : [offset, atMs, text, key];
  });

export const fromWire = (history: readonly WireEntry[]): Remembered[] =>
  history.map(([offset, atMs, push, key]) => ({ offset, atMs, push: Buffer.from(push), key }));
