/** A native socket as the session room needs it. Every method throws once the socket is closed. */
export interface Socket {
  /** 1 sent, 0 buffered, 2 dropped (and `dropped` is called). */
  send(message: Uint8Array, isBinary: boolean): number;
  /** RFC 6455 fragments; between first and last nothing but control frames may be sent. */
  sendFirstFragment(message: Uint8Array, isBinary: boolean): number;
  sendFragment(message: Uint8Array, isBinary: boolean): number;
  sendLastFragment(message: Uint8Array, isBinary: boolean): number;
  getBufferedAmount(): number;
  subscribe(topic: string): boolean;
  unsubscribe(topic: string): boolean;
  isSubscribed(topic: string): boolean;
  getTopics(): string[];
  getRemoteAddressAsText(): ArrayBuffer;
  cork(run: () => void): unknown;
  /** Close with a frame; runs the close handler before it returns. */
  end(code: number, reason: string): void;
  /** Cut without a frame; runs the close handler before it returns. */
  close(): void;
}
