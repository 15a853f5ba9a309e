/** A native socket without a network: what uWebSockets does with subscriptions, fragments, buffers and closes. */
import type { Socket } from "../../src/session/socket.js";

export interface FakeEvents {
  readonly dropped: (socket: FakeSocket, bytes: number) => void;
  readonly closed: (socket: FakeSocket) => void;
}

export class FakeSocket implements Socket {
  /** Whole messages as the client got them. */
  readonly messages: string[] = [];
  readonly topics = new Set<string>();
  open = true;
  /** A slow reader: what is sent stays buffered until `drain`. */
  slow = false;
  buffered = 0;
  most = 0;
  #fragments: Buffer[] | undefined;

  constructor(
    private readonly maxBufferedBytes: number,
    private readonly events: FakeEvents,
  ) {}

  #take(message: Uint8Array): number {
    if (!this.open) throw new Error("send on a closed socket");
    if (this.buffered > this.maxBufferedBytes) {
      this.events.dropped(this, message.length);
      return 2;
    }
    if (this.slow) this.buffered += message.length;
    this.most = Math.max(this.most, this.buffered);
    return this.slow ? 0 : 1;
  }

  send(message: Uint8Array): number {
    if (this.#fragments) throw new Error("a message between fragments");
    const result = this.#take(message);
    if (result !== 2) this.messages.push(Buffer.from(message).toString());
    return result;
  }

  sendFirstFragment(message: Uint8Array): number {
    if (this.#fragments) throw new Error("a first fragment between fragments");
    this.#fragments = [Buffer.from(message)];
    return this.#take(message);
  }

  sendFragment(message: Uint8Array): number {
    this.#fragments!.push(Buffer.from(message));
    return this.#take(message);
  }

  sendLastFragment(message: Uint8Array): number {
    this.messages.push(Buffer.concat([...this.#fragments!, message]).toString());
    this.#fragments = undefined;
    return this.#take(message);
  }

  getBufferedAmount(): number {
    return this.buffered;
  }

  subscribe(topic: string): boolean {
    this.topics.add(topic);
    return true;
  }

  unsubscribe(topic: string): boolean {
    return this.topics.delete(topic);
  }

  isSubscribed(topic: string): boolean {
    return this.topics.has(topic);
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
    this.events.closed(this);
    this.topics.clear();
  }
}
