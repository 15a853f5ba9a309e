/**
 * What one parked socket is still to be sent besides pushes: one answer or reset of any size that is being sent, as RFC 6455
 * fragments whose greater part is shared; replies that came between fragments or while the buffer was full; and requests
 * whose answers are made only when they can be sent, so that a socket holds at most one state. Sends one chunk a call;
 * parking.ts decides when. Worker only.
 */
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { SubscribeRequest } from "../protocol/messages.js";
import type { SharedMessage } from "../protocol/shared-message.js";
import { MAX_CHUNK_BYTES } from "../protocol/shared-message.js";
import type { Socket } from "../protocol/socket.js";

/** Heap of a waiting request without its id: object, position and strings (150 to 220 measured). */
const REQUEST_BYTES = 200;

/** A message that is being sent in fragments. */
interface FragmentedMessage {
  next: Buffer;
  readonly rest: Iterator<Buffer>;
  readonly bytes: number;
}

interface QueuedRequest {
  readonly request: SubscribeRequest;
  /** What it adds to `requestBytes`. */
  readonly bytes: number;
}

export class Outbox {
  readonly #socket: Pick<Socket, "send" | "sendFirstFragment" | "sendFragment" | "sendLastFragment">;
  #sending: FragmentedMessage | undefined;
  readonly #replies: Uint8Array[] = [];
  readonly #requests: QueuedRequest[] = [];
  #replyBytes = 0;
  #requestBytes = 0;

  constructor(socket: Pick<Socket, "send" | "sendFirstFragment" | "sendFragment" | "sendLastFragment">) {
    this.#socket = socket;
  }

  /** A whole message between two fragments would break the connection. */
  get isMidMessage(): boolean {
    return this.#sending !== undefined;
  }

  get replyBytes(): number {
    return this.#replyBytes;
  }

  /** Memory of requests from a client that asks without reading. The first request of each topic costs only its id. */
  get requestBytes(): number {
    return this.#requestBytes;
  }

  /** Answers that the client has not got as a whole; `bytes` counts only the answer that is being sent. */
  get unanswered(): { readonly messages: number; readonly bytes: number } {
    const sending = this.#sending;
    return { messages: this.#requests.length + (sending ? 1 : 0), bytes: sending?.bytes ?? 0 };
  }

  /** Queues a request, to be answered when its turn comes. */
  ask(request: SubscribeRequest): void {
    const idBytes = typeof request.id === "string" ? 2 * request.id.length : 0;
    const bytes = idBytes + (this.hasRequest(request.topic) ? REQUEST_BYTES : 0);
    this.#requests.push({ request, bytes });
    this.#requestBytes += bytes;
  }

  hasRequest(topic: string): boolean {
    return this.#requests.some(({ request }) => request.topic === topic);
  }

  /** Removes and returns the oldest request. */
  nextRequest(): SubscribeRequest | undefined {
    const next = this.#requests.shift();
    this.#requestBytes -= next?.bytes ?? 0;
    return next?.request;
  }

  /** Removes and returns the topic's requests, in order. An answer that is being sent cannot be stopped. */
  cancel(topic: string): SubscribeRequest[] {
    const cancelled: SubscribeRequest[] = [];
    for (let left = this.#requests.length; left > 0; left--) {
      const queued = this.#requests.shift()!;
      if (queued.request.topic !== topic) {
        this.#requests.push(queued);
        continue;
      }
      this.#requestBytes -= queued.bytes;
      cancelled.push(queued.request);
    }
    return cancelled;
  }

  /** Queues a reply. */
  reply(bytes: Uint8Array): void {
    this.#replies.push(bytes);
    this.#replyBytes += bytes.length;
  }

  /** Sends the next fragment, or else the next reply. Returns its bytes; 0 when neither is left. */
  sendChunk(): number {
    if (this.#sending) return this.#sendFragment(this.#sending);
    const reply = this.#replies.shift();
    if (!reply) return 0;
    this.#replyBytes -= reply.length;
    return this.send(reply);
  }

  /** Sends a message at once. Returns its bytes. */
  send(bytes: Uint8Array): number {
    countSent(bytes.length);
    this.#socket.send(bytes, false);
    return bytes.length;
  }

  /** Sends a small message as a whole; begins a large one, which `sendChunk` continues. Returns the bytes that were sent. */
  sendShared(message: SharedMessage): number {
    if (message.length <= MAX_CHUNK_BYTES) return this.send(message.whole);
    const rest = message.pieces(MAX_CHUNK_BYTES);
    const head = rest.next().value as Buffer;
    this.#sending = { next: rest.next().value as Buffer, rest, bytes: message.length };
    this.#socket.sendFirstFragment(head, false);
    return head.length;
  }

  #sendFragment(sending: FragmentedMessage): number {
    const piece = sending.next;
    const following = sending.rest.next();
    if (following.done) {
      this.#sending = undefined;
      countSent(sending.bytes);
      this.#socket.sendLastFragment(piece, false);
    } else {
      sending.next = following.value;
      this.#socket.sendFragment(piece, false);
    }
    return piece.length;
  }
}

function countSent(bytes: number): void {
  counters[SLOT.messagesOut]! += 1;
  counters[SLOT.bytesOut]! += bytes;
}
