/**
 * A native socket without a network: what uWebSockets does with subscriptions, fragments, buffers and closes. Published
 * messages wait for the end of the turn, or for the next send; of those that a full socket cannot take only the first is
 * reported.
 */
import type { Socket, UserData } from "../../src/protocol/socket.js";

export interface FakeEvents {
  readonly dropped: (socket: FakeSocket, message: Uint8Array) => void;
  /** The first byte of a message was taken. */
  readonly began?: (socket: FakeSocket) => void;
  readonly closed: (socket: FakeSocket) => void;
}

export class FakeSocket implements Socket {
  readonly #maxBufferedBytes: number;
  readonly #events: FakeEvents;
  /** Whole messages as the client got them. */
  readonly messages: string[] = [];
  readonly topics = new Set<string>();
  userData: UserData = {};
  open = true;
  /** A slow reader: what is sent stays buffered until `drain`. */
  slow = false;
  buffered = 0;
  max = 0;
  #fragments: Buffer[] | undefined;
  #pending: Uint8Array[] = [];

  constructor(maxBufferedBytes: number, events: FakeEvents) {
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#events = events;
  }

  #isFull(message: Uint8Array): boolean {
    if (!this.open) throw new Error("send on a closed socket");
    if (this.buffered <= this.#maxBufferedBytes) return false;
    this.#events.dropped(this, message);
    return true;
  }

  #take(message: Uint8Array): number {
    if (this.slow) this.buffered += message.length;
    this.max = Math.max(this.max, this.buffered);
    return this.slow ? 0 : 1;
  }

  /** What the native topic tree does with a publication to a topic of this socket. */
  pend(message: Uint8Array): void {
    if (message.length >= 16_384)
      throw new Error("16,384 bytes and more are sent inside the list of subscribers: may crash the process");
    if (this.#pending.length === 0) setImmediate(() => this.flush());
    this.#pending.push(message);
  }

  flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const message of pending) {
      if (!this.open || this.#isFull(message)) break;
      this.#put(message);
    }
  }

  /** Pending messages go first; if they fill the buffer, the message is accepted nevertheless (as in the real one). */
  send(message: Uint8Array): number {
    if (this.#isFull(message)) return 2;
    this.flush();
    return this.#put(message);
  }

  #put(message: Uint8Array): number {
    if (this.#fragments) throw new Error("a message between fragments");
    this.#events.began?.(this);
    this.#whole(Buffer.from(message));
    return this.#take(message);
  }

  sendFirstFragment(message: Uint8Array): number {
    if (this.#fragments) throw new Error("a first fragment between fragments");
    this.#events.began?.(this);
    this.#fragments = [Buffer.from(message)];
    return this.#isFull(message) ? 2 : this.#take(message);
  }

  sendFragment(message: Uint8Array): number {
    this.#fragments!.push(Buffer.from(message));
    return this.#isFull(message) ? 2 : this.#take(message);
  }

  sendLastFragment(message: Uint8Array): number {
    this.#whole(Buffer.concat([...this.#fragments!, message]));
    this.#fragments = undefined;
    return this.#isFull(message) ? 2 : this.#take(message);
  }

  #whole(message: Buffer): void {
    this.messages.push(message.toString());
  }

  getUserData(): UserData {
    return this.userData;
  }

  getBufferedAmount(): number {
    return this.buffered;
  }

  subscribe(topic: string): boolean {
    this.topics.add(topic);
    return true;
  }

  unsubscribe(topic: string): boolean {
    this.flush();
    return this.topics.delete(topic);
  }

  isSubscribed(topic: string): boolean {
    return this.topics.has(topic);
  }

  getRemoteAddressAsText(): ArrayBuffer {
    return new TextEncoder().encode("127.0.0.1").buffer;
  }

  getTopics(): string[] {
    return [...this.topics];
  }

  cork(run: () => void): void {
    run();
  }

  end(): void {
    this.close();
  }

  close(): void {
    if (!this.open) throw new Error("close of a closed socket");
    this.open = false;
    this.#events.closed(this);
    this.topics.clear();
  }
}
