/**
 * What a parked socket is still to be sent besides pushes: one answer or reset of any size that is on its way, as RFC 6455
 * fragments whose greater part is shared; replies that came between fragments or to a full buffer; and requests whose
 * answers are made when their turn comes, so that no more than one snapshot is held for a socket. One portion a call; the
 * caller sees to the pace. Worker only.
 */
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { SubscribeRequest } from "../protocol/messages.js";
import type { SharedMessage } from "../protocol/shared-message.js";
import { MAX_CHUNK_BYTES } from "../protocol/shared-message.js";
import type { Socket } from "../protocol/socket.js";

/** Heap of a waiting request besides its id: object, position and texts (measured: 150 to 220). */
const REQUEST_BYTES = 200;

export class Outbox {
  /** The message that is being sent in fragments: the next piece, and those after it. */
  #sending: { next: Buffer; rest: Iterator<Buffer>; bytes: number } | undefined;
  readonly #replies: Uint8Array[] = [];
  readonly #requests: { readonly request: SubscribeRequest; readonly bytes: number }[] = [];
  #replyBytes = 0;
  #requestBytes = 0;

  constructor(private readonly socket: Socket) {}

  /** Between fragments a message would break the connection. */
  get midway(): boolean {
    return this.#sending !== undefined;
  }

  get replyBytes(): number {
    return this.#replyBytes;
  }

  /** What a client that asks without reading piles up; one request for each of its topics, but for its id, is free. */
  get requestBytes(): number {
    return this.#requestBytes;
  }

  /** Answers that the client has not got, one of them perhaps in part; bytes as far as they are known. */
  get owed(): { readonly messages: number; readonly bytes: number } {
    const sending = this.#sending;
    return { messages: this.#requests.length + (sending ? 1 : 0), bytes: sending?.bytes ?? 0 };
  }

  ask(request: SubscribeRequest): void {
    const idBytes = typeof request.id === "string" ? 2 * request.id.length : 0;
    const bytes = idBytes + (this.waitsFor(request.topic) ? REQUEST_BYTES : 0);
    this.#requests.push({ request, bytes });
    this.#requestBytes += bytes;
  }

  waitsFor(topic: string): boolean {
    return this.#requests.some(({ request }) => request.topic === topic);
  }

  /** The request whose turn it is. */
  nextRequest(): SubscribeRequest | undefined {
    const request = this.#requests.shift();
    this.#requestBytes -= request?.bytes ?? 0;
    return request?.request;
  }

  /** Removes and returns the topic's requests, in order; an answer that is on its way cannot be stopped. */
  cancel(topic: string): SubscribeRequest[] {
    const cancelled: SubscribeRequest[] = [];
    for (let left = this.#requests.length; left > 0; left--) {
      const request = this.#requests.shift()!;
      if (request.request.topic !== topic) {
        this.#requests.push(request);
        continue;
      }
      this.#requestBytes -= request.bytes;
      cancelled.push(request.request);
    }
    return cancelled;
  }

  reply(bytes: Uint8Array): void {
    this.#replies.push(bytes);
    this.#replyBytes += bytes.length;
  }

  /** Sends one fragment or one reply. Returns its bytes; 0 when none is left. */
  chunk(): number {
    if (this.#sending) return this.#fragment(this.#sending);
    const reply = this.#replies.shift();
    if (!reply) return 0;
    this.#replyBytes -= reply.length;
    return this.send(reply);
  }

  /** Sends a message at once. Returns its bytes. */
  send(bytes: Uint8Array): number {
    count(bytes.length);
    this.socket.send(bytes, false);
    return bytes.length;
  }

  /** Sends a small message at once; begins a large one, which goes on with `portion`. Returns the bytes that were sent. */
  share(message: SharedMessage): number {
    if (message.length <= MAX_CHUNK_BYTES) return this.send(message.whole);
    const rest = message.pieces(MAX_CHUNK_BYTES);
    const head = rest.next().value as Buffer;
    this.#sending = { next: rest.next().value as Buffer, rest, bytes: message.length };
    this.socket.sendFirstFragment(head, false);
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
