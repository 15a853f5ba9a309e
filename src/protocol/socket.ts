/**
 * One native socket as session/ and catchup/ see it; the methods are those of uWebSockets' WebSocket, a test passes a fake.
 * Rules that bite (src/README.md facts 15 and 18):
 *  - Every method throws once the socket is closed; `getTopics` and `isSubscribed` throw inside the close handler already.
 *  - `end` and `close` run the close handler before they return.
 *  - Inside the `dropped` handler `end` and `close` crash and `send` recurses; only `unsubscribe` is safe.
 *  - `send` and `unsubscribe` first send the publications that are pending for the socket, which may call `dropped`.
 */
export interface Socket {
  /** Readable in the close handler too. */
  getUserData(): UserData;
  /** 1: sent; 0: buffered; 2: dropped, after `dropped` was called. */
  send(message: Uint8Array, isBinary: boolean): number;
  /** RFC 6455 fragments; between the first and the last nothing but control frames may be sent. */
  sendFirstFragment(message: Uint8Array, isBinary: boolean): number;
  sendFragment(message: Uint8Array, isBinary: boolean): number;
  sendLastFragment(message: Uint8Array, isBinary: boolean): number;
  /** Unsent bytes in the worker; those that the kernel queues are not among them (src/README.md fact 7). */
  getBufferedAmount(): number;
  subscribe(topic: string): boolean;
  unsubscribe(topic: string): boolean;
  isSubscribed(topic: string): boolean;
  getTopics(): string[];
  getRemoteAddressAsText(): ArrayBuffer;
  cork(run: () => void): unknown;
  /** Closes with a close frame. */
  end(code: number, reason: string): void;
  /** Disconnects without a close frame. */
  close(): void;
}

/** What a handshake with a token left with its socket. A socket without a grant is anonymous, and may follow every topic. */
export interface UserData {
  /** Shared by sockets that may do the same. */
  readonly grant?: { allows(action: "subscribe" | "query", topic: string, sub: string | undefined): boolean };
  readonly sub?: string | undefined;
  /** The second of the wall clock in which the token is no longer accepted. */
  readonly expirySecond?: number;
  /** Its place among those that expire in the same second (session/expiry.ts). */
  expirySlot?: number;
}

/**
 * From this size on uWebSockets does not batch a publication: it sends while it walks its list of subscribers, and `dropped`
 * cannot unsubscribe a full socket there without a crash (tried: 16,383 bytes went well, 16,384 did not).
 */
export const MIN_UNBATCHED_BYTES = 16_384;
