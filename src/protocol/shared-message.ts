/**
 * A message of which one part is peculiar to its receiver and the greater part is the same for all: a topic's state after
 * the head of an answer. A large one is sent in fragments, so that the shared part is never copied. Pure.
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

  /** In one piece; kept, because the same answer goes to thousands. */
  get whole(): Buffer {
    this.#whole ??= Buffer.concat([this.head, this.body, TAIL]);
    return this.#whole;
  }

  /** The pieces in the order of sending: the head, the body in portions, the end. */
  *pieces(chunkBytes: number): Generator<Buffer> {
    yield this.head;
    for (let at = 0; at < this.body.length; at += chunkBytes) yield this.body.subarray(at, at + chunkBytes);
    yield TAIL;
  }
}

export const MAX_CHUNK_BYTES = 16_384;
