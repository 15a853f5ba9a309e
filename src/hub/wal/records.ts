/**
 * The records of the log, to bytes and back. What the hub remembers is a pure fold over them, in the order of the files:
 * nothing else decides it. Each record is `{u32 bytes of what follows, u8 type, body}`. Pure.
 *
 * An epoch is `<generation>.<n>`: the generation is in the session record, and n is the number of topics forgotten before the
 * topic's first publication. So a topic that nobody has published to needs no record.
 */
import type { Remembered, StateEntry } from "../../topics/memory.js";
import type { Publication } from "../../topics/publication.js";
import type { RecentId } from "../recent-ids.js";
import { encodePublication } from "../wire.js";
import { ByteReader, type ByteWriter } from "./bytes.js";

/** Begins each file, and the records of each hub process that writes to it. */
export interface Session {
  /** Rises with each file that is begun: the newer file has the greater one. */
  readonly sequence: number;
  readonly generation: string;
  /** The machine's boot id and the file's inode: after a reboot, or in a copy, they differ. */
  readonly boot: string;
  readonly inode: string;
  /** Both clocks at one moment, to translate monotonic times of an earlier boot. */
  readonly monotonicMs: number;
  readonly wallMs: number;
  /** Topics forgotten so far. */
  readonly epochCount: number;
}

/** A whole topic: it replaces what earlier records say of it. */
export interface WalImage {
  readonly topic: string;
  readonly epoch: number;
  readonly offset: number;
  readonly history: readonly Remembered[];
  readonly state: readonly StateEntry[];
}

export type WalRecord =
  | { readonly type: "session"; readonly session: Session }
  /** One publication, with its idempotency id. An empty `push`: the topic remembers nothing, only the position counts. */
  | { readonly type: "publication"; readonly epoch: number; readonly publication: Publication; readonly id?: string }
  | { readonly type: "image"; readonly image: WalImage }
  | { readonly type: "forget"; readonly topic: string }
  | { readonly type: "ids"; readonly ids: readonly RecentId[] }
  /** Every topic has an image in this file, or its first publication: older files are no longer needed. */
  | { readonly type: "mark" }
  /** An orderly stop; nothing was recorded after it. */
  | { readonly type: "clean" };

const TYPES = ["session", "publication", "image", "forget", "ids", "mark", "clean"] as const;
const TYPE_OF = Object.fromEntries(TYPES.map((type, i) => [type, i])) as Record<WalRecord["type"], number>;

export function writeRecord(out: ByteWriter, record: WalRecord): void {
  switch (record.type) {
    case "session":
      framed(out, "session", () => out.text(JSON.stringify(record.session)));
      return;
    case "publication":
      writePublication(out, { epoch: record.epoch, frame: encodePublication(record.publication), id: record.id });
      return;
    case "image":
      framed(out, "image", () => writeImage(out, record.image));
      return;
    case "forget":
      framed(out, "forget", () => out.text(record.topic));
      return;
    case "ids":
      framed(out, "ids", () => writeIds(out, record.ids));
      return;
    case "mark":
    case "clean":
      framed(out, record.type, () => undefined);
      return;
    default:
      record satisfies never;
  }
}

function framed(out: ByteWriter, type: WalRecord["type"], body: () => void): void {
  const at = out.skip(4);
  out.u8(TYPE_OF[type]);
  body();
  out.u32At(at, out.length - at - 4);
}

export interface FramedPublication {
  readonly epoch: number;
  /** The frame that the workers get; it is copied as it is. */
  readonly frame: Uint8Array;
  readonly id: string | undefined;
}

/** The hot path of `writeRecord`. */
export function writePublication(out: ByteWriter, { epoch, frame, id }: FramedPublication): void {
  const at = out.skip(4);
  out.u8(TYPE_OF.publication);
  out.u48(epoch);
  out.text(id ?? "");
  out.raw(frame);
  out.u32At(at, out.length - at - 4);
}

function writeImage(out: ByteWriter, { topic, epoch, offset, history, state }: WalImage): void {
  out.text(topic);
  out.u48(epoch);
  out.u48(offset);
  out.u32(history.length);
  for (const { offset: at, atMs, key, push } of history) {
    out.u48(at);
    out.f64(atMs);
    out.u8(key === undefined ? 0 : 1);
    if (key !== undefined) out.text(key);
    out.bytes(push);
  }
  out.u32(state.length);
  for (const { key, data } of state) {
    out.text(key);
    out.text(data);
  }
}

function writeIds(out: ByteWriter, ids: readonly RecentId[]): void {
  out.u32(ids.length);
  for (const { name, epoch, offset, atMs } of ids) {
    out.text(name);
    out.text(epoch);
    out.u48(offset);
    out.f64(atMs);
  }
}

/** The records of one block. Throws RangeError or SyntaxError if the bytes are damaged. */
export function* readRecords(block: Buffer): Generator<WalRecord> {
  const blocks = new ByteReader(block);
  while (blocks.left > 0) {
    const body = new ByteReader(blocks.bytes());
    const type = TYPES[body.u8()];
    switch (type) {
      case "session":
        yield { type, session: JSON.parse(body.text()) as Session };
        break;
      case "publication":
        yield readPublication(body);
        break;
      case "image":
        yield { type, image: readImage(body) };
        break;
      case "forget":
        yield { type, topic: body.text() };
        break;
      case "ids":
        yield { type, ids: readIds(body) };
        break;
      case "mark":
      case "clean":
        yield { type };
        break;
      default:
        throw new RangeError("unknown record");
    }
  }
}

/** Type of each record of a block, without decoding the record. */
export function* readTypes(block: Buffer): Generator<WalRecord["type"]> {
  const records = new ByteReader(block);
  while (records.left > 0) {
    const type = TYPES[records.bytes()[0] ?? TYPES.length];
    if (type === undefined) throw new RangeError("unknown record");
    yield type;
  }
}

/** Copies everything: the block's buffer is reused. */
function readPublication(body: ByteReader): WalRecord {
  const epoch = body.u48();
  const id = body.text();
  const frameBytes = body.u32();
  if (frameBytes !== body.left) throw new RangeError("a frame of another length");
  body.u8();
  const topicBytes = body.u8();
  const keyBytes = body.u16();
  const offset = body.u48();
  const topic = body.raw(topicBytes).toString("latin1");
  const key = keyBytes === 0 ? undefined : body.raw(keyBytes - 1).toString();
  const push = Buffer.from(body.raw(body.left));
  const publication = { topic, offset, key, push };
  return id === "" ? { type: "publication", epoch, publication } : { type: "publication", epoch, publication, id };
}

function readImage(body: ByteReader): WalImage {
  const topic = body.text();
  const epoch = body.u48();
  const offset = body.u48();
  const history = Array.from({ length: body.u32() }, () => {
    const at = body.u48();
    const atMs = body.f64();
    const key = body.u8() === 0 ? undefined : body.text();
    return { offset: at, atMs, key, push: Buffer.from(body.bytes()) };
  });
  const state = Array.from({ length: body.u32() }, () => ({ key: body.text(), data: body.text() }));
  return { topic, epoch, offset, history, state };
}

function readIds(body: ByteReader): RecentId[] {
  return Array.from({ length: body.u32() }, () => ({
    name: body.text(),
    epoch: body.text(),
    offset: body.u48(),
    atMs: body.f64(),
  }));
}
