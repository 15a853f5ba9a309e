/**
 * The client's half of the WebSocket handshake: the upgrade request, and the check of the answer against the very key
 * that was sent (RFC 6455 §4.1). Pure; runs in generators, and in the coordinator for its one probe.
 * Keys come from a pool, because a million SHA-1 sums would cost more than what is being measured; neighbouring sockets
 * never have the same key. An answer that differs from the last good one only in its accept value is not parsed again.
 */
import { createHash, randomBytes } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES = 24;
const ACCEPT_BYTES = 28;
/** A longer head is refused. */
const MAX_HEAD_BYTES = 16_384;

/** Keys and their accept values, each list in one buffer: 53 bytes a pair. */
export class KeyPool {
  readonly keys: Buffer;
  readonly accepts: Buffer;

  constructor(readonly size: number) {
    this.keys = Buffer.alloc(size * KEY_BYTES);
    this.accepts = Buffer.alloc(size * ACCEPT_BYTES);
    for (let i = 0; i < size; i++) {
      const key = randomBytes(16).toString("base64");
      this.keys.write(key, i * KEY_BYTES, "latin1");
      this.accepts.write(acceptFor(key), i * ACCEPT_BYTES, "latin1");
    }
  }
}

export const acceptFor = (key: string): string =>
  createHash("sha1")
    .update(key + GUID)
    .digest("base64");

/** The upgrade request, one buffer for all sockets: only the key and the number in the topic are written for each. */
export class UpgradeRequest {
  readonly bytes: Buffer;
  readonly #keyAt: number;
  readonly #numberAt: number;

  /** `numberAt`: where a number stands in the path; −1 for nowhere. */
  constructor(host: string, path: string, numberAt = -1) {
    this.#numberAt = numberAt < 0 ? -1 : "GET ".length + numberAt;
    const head = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: `;
    this.#keyAt = head.length;
    this.bytes = Buffer.from(`${head}${"=".repeat(KEY_BYTES)}\r\n\r\n`, "latin1");
  }

  /** The request with the pool's key number `index`; valid until the next call. */
  withKey(pool: KeyPool, index: number): Buffer {
    pool.keys.copy(this.bytes, this.#keyAt, index * KEY_BYTES, (index + 1) * KEY_BYTES);
    return this.bytes;
  }

  /** For the next `withKey`. */
  setNumber(padded: string): void {
    if (this.#numberAt >= 0) this.bytes.write(padded, this.#numberAt, "latin1");
  }
}

/** Results of `check` besides the index where the frames begin: the head is incomplete, or refused (see `refusal`). */
export const INCOMPLETE = -1;
export const REFUSED = -2;

export class AnswerCheck {
  readonly #pool: KeyPool;
  /** Why the last answer was refused: "http_503", "bad_accept", "bad_answer". */
  refusal = "";
  /** Retry-After of that answer, in milliseconds; 0 without one, and for a date. */
  retryAfterMs = 0;
  #good = Buffer.alloc(0);
  #acceptAt = 0;

  constructor(pool: KeyPool) {
    this.#pool = pool;
  }

  /** Checks the answer in `bytes[0, end)` to key number `index`. Returns the index of the first byte after its head. */
  check(bytes: Buffer, end: number, index: number): number {
    return this.#equalsGood(bytes, end, index) ? this.#good.length : this.#parse(bytes, end, index);
  }

  #equalsGood(bytes: Buffer, end: number, index: number): boolean {
    const good = this.#good;
    const acceptAt = this.#acceptAt;
    const after = acceptAt + ACCEPT_BYTES;
    return (
      good.length > 0 &&
      end >= good.length &&
      this.#acceptEquals(bytes, acceptAt, index) &&
      bytes.compare(good, 0, acceptAt, 0, acceptAt) === 0 &&
      bytes.compare(good, after, good.length, after, good.length) === 0
    );
  }

  #acceptEquals(bytes: Buffer, at: number, index: number): boolean {
    const from = index * ACCEPT_BYTES;
    return bytes.compare(this.#pool.accepts, from, from + ACCEPT_BYTES, at, at + ACCEPT_BYTES) === 0;
  }

  #parse(bytes: Buffer, end: number, index: number): number {
    const headEnd = bytes.subarray(0, end).indexOf("\r\n\r\n", 0, "latin1");
    if (headEnd < 0) return end > MAX_HEAD_BYTES ? this.#refuse("bad_answer") : INCOMPLETE;
    const head = bytes.toString("latin1", 0, headEnd);
    const [statusLine = "", ...lines] = head.split("\r\n");
    const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(statusLine)?.[1];
    if (status === undefined) return this.#refuse("bad_answer");
    if (status !== "101") {
      this.retryAfterMs = 1000 * Number(/^retry-after:[ \t]*(\d{1,6})[ \t]*\r?$/im.exec(head)?.[1] ?? 0);
      return this.#refuse(`http_${status}`);
    }
    const fields = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon > 0) fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    const upgrade = fields.get("upgrade")?.toLowerCase();
    const connection =
      fields
        .get("connection")
        ?.toLowerCase()
        .split(/\s*,\s*/) ?? [];
    if (upgrade !== "websocket" || !connection.includes("upgrade")) return this.#refuse("bad_answer");
    const from = index * ACCEPT_BYTES;
    const accept = this.#pool.accepts.toString("latin1", from, from + ACCEPT_BYTES);
    if (fields.get("sec-websocket-accept") !== accept) return this.#refuse("bad_accept");
    this.#good = Buffer.from(bytes.subarray(0, headEnd + 4));
    this.#acceptAt = head.indexOf(accept);
    return this.#good.length;
  }

  #refuse(reason: string): number {
    this.refusal = reason;
    if (!reason.startsWith("http_")) this.retryAfterMs = 0;
    return REFUSED;
  }
}
