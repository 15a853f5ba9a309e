/**
 * Bytes between hub and worker: frames of u32 length (little-endian, of what follows), u8 type, body. Pure.
 * Control bodies are JSON, counters are raw float64, publications are packed: they are the only hot ones, and their
 * payload passes through unread. A frame that cannot be decoded throws; the caller cuts the link.
 */
import type { SlowReader } from "../metrics/slow-reader.js";
import type { Remembered, StateEntry } from "../topics/memory.js";
import { type Publication, pushHead } from "../topics/publication.js";

/** Longest frame that is believed; a longer one is a broken peer. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** Raised with each change of the frames below: processes of two program versions must not take each other's for their own. */
export const WIRE_VERSION = 2;

export interface Hello {
  readonly type: "hello";
  readonly version: number;
  readonly worker: number;
  readonly pid: number;
  /** From the supervisor, the same for the hub and all its workers: two gateways may share a run directory. */
  readonly token: string;
}
/** The hub will not serve this worker, and why; it closes the link after it. */
export interface Refused {
  readonly type: "refused";
  readonly reason: string;
}
/**
 * A worker asks for a topic, and for every publication after the answer. `request` rises with each one of a worker and comes
 * back in the answer: only the answer to the latest is installed. With a position if it has the topic already.
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
/** On a new link: everything that the worker has or waits for has been asked for again. */
export interface Relinked {
  readonly type: "relinked";
}
/** Topics that a worker believes to be served, a share of them at a time; the hub names those that it does not serve. */
export interface Compare {
  readonly type: "compare";
  readonly topics: readonly string[];
}
export interface Unserved {
  readonly type: "unserved";
  readonly topics: readonly string[];
}
export interface Counters {
  readonly type: "counters";
  readonly values: Float64Array;
}
/** One remembered publication in a control frame: offset, monotonic time in ms, push as text, key if it has one. */
export type WireEntry = readonly [offset: number, atMs: number, push: string, key?: string];

/** Where a topic stands, with what is remembered of it. */
export interface TopicImage {
  readonly topic: string;
  readonly epoch: string;
  readonly offset: number;
  readonly history: readonly WireEntry[];
  /** Absent where only the publications after the worker's own position are sent. */
  readonly state?: readonly StateEntry[];
}
/** The hub's answer to `follow`. Publications after it follow on the same link. */
export interface TopicSync extends TopicImage {
  readonly type: "topicSync";
  readonly request: number;
}
/** The hub does not serve the topic: names that nobody has published to fill their account already. */
export interface FollowRefused {
  readonly type: "followRefused";
  readonly topic: string;
  readonly request: number;
}
/** The hub's first word. */
export interface Welcome {
  readonly type: "welcome";
}
/** The hub asks how many sockets of this worker follow one topic or each of many, or for its slowest readers. */
export type Question =
  | { readonly topic: string }
  | { readonly topics: readonly string[] }
  | { readonly slowest: number };
export interface Ask {
  readonly type: "ask";
  readonly id: number;
  readonly question: Question;
}
/** Subscribers of the topic, or the slowest readers, the worst first. */
export interface Reply {
  readonly type: "reply";
  readonly id: number;
  readonly subscribers?: number;
  /** Of each of many, in the order of the question. */
  readonly counts?: readonly number[];
  readonly readers?: readonly SlowReader[];
}
/** Live connections of an address in one worker; 0 when the last is gone. */
export type AddressCount = readonly [address: string, count: number];
/** What has changed since the worker's last report. */
export interface AddressCounts {
  readonly type: "addresses";
  readonly counts: readonly AddressCount[];
}
/** Addresses that have reached --connections-per-address over all workers, and those that no longer do. */
export interface AtLimit {
  readonly type: "atLimit";
  readonly yes: readonly string[];
  readonly no: readonly string[];
}
/** In one frame of either kind: at 50 bytes each a quarter of a megabyte. */
export const ADDRESSES_A_FRAME = 5000;
export interface Pushed extends Publication {
  readonly type: "publication";
}

export type ToHub = Hello | Follow | Unfollow | Relinked | Compare | Counters | Reply | AddressCounts;
export type ToWorker = Refused | Welcome | TopicSync | FollowRefused | Unserved | Ask | Pushed | AtLimit;
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
const HEAD = 5;
const PUBLICATION_HEAD = 9;
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

/** Not from Node's pool: there it would lie between pushes that are kept, and stay as long as they. */
function control(type: Frame["type"], text: string): Buffer {
  const bytes = Buffer.byteLength(text);
  const out = Buffer.allocUnsafeSlow(HEAD + bytes);
  out.writeUInt32LE(bytes + 1, 0);
  out[4] = TYPES.indexOf(type);
  out.write(text, HEAD);
  return out;
}

function whole(type: Frame["type"], body: Buffer): Buffer {
  const out = Buffer.allocUnsafe(HEAD + body.length);
  out.writeUInt32LE(body.length + 1, 0);
  out[4] = TYPES.indexOf(type);
  body.copy(out, HEAD);
  return out;
}

/** Body: u8 topic length, u16 key length + 1 (0: none), u48 offset, topic (ASCII by its grammar), key, push. */
export function encodePublication(publication: Publication): Buffer {
  const { topic, offset, key, push } = publication;
  const keyBytes = key === undefined ? NO_BYTES : Buffer.from(key);
  const keyAt = HEAD + PUBLICATION_HEAD + topic.length;
  const out = Buffer.allocUnsafe(keyAt + keyBytes.length + push.length);
  writePublicationHead(out, topic, offset, key === undefined ? 0 : keyBytes.length + 1);
  out.set(keyBytes, keyAt);
  out.set(push, keyAt + keyBytes.length);
  return out;
}

/**
 * A new publication as a frame, and its push as a view of the same bytes: a history that keeps the push keeps nothing else
 * alive. (Two buffers of one publication shared a slab with the frame that was done with: 140 bytes more for each.)
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
  const keyAt = HEAD + PUBLICATION_HEAD + topic.length;
  const pushAt = keyAt + keyLength;
  const frame = Buffer.allocUnsafe(pushAt + headBytes + Buffer.byteLength(data) + 1);
  writePublicationHead(frame, topic, offset, key === undefined ? 0 : keyLength + 1);
  if (key !== undefined) frame.write(key, keyAt);
  frame.write(head, pushAt);
  frame.write(data, pushAt + headBytes);
  frame[frame.length - 1] = CLOSING_BRACE;
  return { frame, push: frame.subarray(pushAt) };
}

function writePublicationHead(out: Buffer, topic: string, offset: number, keyField: number): void {
  out.writeUInt32LE(out.length - 4, 0);
  out[4] = TYPES.indexOf("publication");
  out[5] = topic.length;
  out.writeUInt16LE(keyField, 6);
  out.writeUIntLE(offset, 8, 6);
  out.write(topic, 14, "latin1");
}

/**
 * Takes a stream apart, copying each byte at most twice however it is cut: chunks of a frame that is not whole are only
 * collected. `push` of a publication is a view into the received chunk: copy what is kept.
 */
export class FrameReader {
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** Bytes without which it is no use to look: a length, or the frame that was begun. */
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
    // Copied: a view would pin the whole received chunk until the next one comes.
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
  const topicEnd = 1 + PUBLICATION_HEAD + bytes[1]!;
  const keyLength = bytes.readUInt16LE(2);
  const keyEnd = topicEnd + Math.max(0, keyLength - 1);
  const key = keyLength === 0 ? undefined : bytes.toString("utf8", topicEnd, keyEnd);
  const topic = bytes.toString("latin1", 1 + PUBLICATION_HEAD, topicEnd);
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
