/**
 * What a parked socket is still to be sent besides pushes: answers of any size, as RFC 6455 fragments whose greater part
 * is shared, and replies that came between fragments or to a full buffer. One portion a call; the caller sees to the pace.
 */
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { PORTION_BYTES } from "./portion.js";
import type { SharedMessage } from "./shared-message.js";
import type { Socket } from "./socket.js";

interface Answer {
  readonly topic: string;
  readonly message: SharedMessage;
}

export class Outbox {
  readonly #answers: Answer[] = [];
  /** The answer that is being sent in fragments: the next piece, and those after it. */
  #sending: { next: Buffer; rest: Iterator<Buffer>; bytes: number } | undefined;
  readonly #replies: Uint8Array[] = [];
  #replyBytes = 0;

  constructor(private readonly socket: Socket) {}

  /** Between fragments a message would break the connection. */
  get midway(): boolean {
    return this.#sending !== undefined;
  }

  get replyBytes(): number {
    return this.#replyBytes;
  }

  get answers(): number {
    return this.#answers.length;
  }

  answer(topic: string, message: SharedMessage): void {
    this.#answers.push({ topic, message });
  }

  reply(bytes: Uint8Array): void {
    this.#replies.push(bytes);
    this.#replyBytes += bytes.length;
  }

  /** The topic's answer is not wanted any more, unless it is on its way. */
  forget(topic: string): void {
    const waiting = this.#answers.findIndex((answer) => answer.topic === topic);
    if (waiting >= 0) this.#answers.splice(waiting, 1);
  }

  /** Sends one fragment, one reply or one answer. Returns its bytes; 0 when nothing is left. */
  portion(): number {
    if (this.#sending) return this.#fragment(this.#sending);
    const reply = this.#replies.shift();
    if (reply) {
      this.#replyBytes -= reply.length;
      return this.send(reply);
    }
    const answer = this.#answers.shift();
    return answer ? this.share(answer.message) : 0;
  }

  /** Sends a message at once. Returns its bytes. */
  send(bytes: Uint8Array): number {
    count(bytes.length);
    this.socket.send(bytes, false);
    return bytes.length;
  }

  /** Sends a small message at once; begins a large one, which goes on with `portion`. Returns the bytes that were sent. */
  share(message: SharedMessage): number {
    if (message.length <= PORTION_BYTES) return this.send(message.whole);
    const rest = message.pieces(PORTION_BYTES);
    const head = rest.next().value as Buffer;
    this.socket.sendFirstFragment(head, false);
    this.#sending = { next: rest.next().value as Buffer, rest, bytes: message.length };
    return head.length;
  }

  #fragment(sending: { next: Buffer; rest: Iterator<Buffer>; bytes: number }): number {
    const piece = sending.next;
    const after = sending.rest.next();
    if (after.done) {
      this.#sending = undefined;
      count(sending.bytes);
      this.socket.sendLastFragment(piece, false);
    } else {
      sending.next = after.value;
      this.socket.sendFragment(piece, false);
    }
    return piece.length;
  }
}

function count(bytes: number): void {
  counters[SLOT.messagesOut]! += 1;
  counters[SLOT.bytesOut]! += bytes;
}
