/**
 * A message with a small head for one receiver and a large body that all receivers share: the head of an answer and a
 * topic's state. A large message is sent in fragments, so that the body is never copied. Pure.
 */
const TAIL = Buffer.from("}");

export class SharedMessage {
  #whole: Buffer | undefined;

  /** `head` opens a JSON object; `body` is the value of its last field. */
  constructor(
    readonly head: Buffer,
    readonly body: Buffer,
  ) {}

  get length(): number {
    return this.head.length + this.body.length + TAIL.length;
  }

  /** In one piece; cached, because the same answer goes to thousands of sockets. */
  get whole(): Buffer {
    this.#whole ??= Buffer.concat([this.head, this.body, TAIL]);
    return this.#whole;
  }

  /** The fragments in order: the head, the body in chunks, the end. */
  *pieces(chunkBytes: number): Generator<Buffer> {
    yield this.head;
    for (let at = 0; at < this.body.length; at += chunkBytes) yield this.body.subarray(at, at + chunkBytes);
    yield TAIL;
  }
}

/** Bytes of one fragment, and of the pushes sent to a parked socket at once: what uWebSockets corks in one buffer. */
export const MAX_CHUNK_BYTES = 16_384;
