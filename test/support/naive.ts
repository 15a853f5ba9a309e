/** A client that ignores every advice: reconnects at once whenever its socket ends. Records how each one ended. */
import WebSocket from "ws";
import { until } from "./wait.js";

interface End {
  readonly code: number;
  /** The reason of the goodbye before it, if one came. */
  readonly goodbye: string | undefined;
  readonly windowMs: number | undefined;
}

export class NaiveClient {
  readonly #url: string;
  readonly ends: End[] = [];
  /** Errors of sockets, such as ECONNRESET. */
  readonly errors: string[] = [];
  socket: WebSocket;
  #stopped = false;

  constructor(url: string) {
    this.#url = url;
    this.socket = this.#dial();
  }

  static async many(url: string, count: number): Promise<NaiveClient[]> {
    const all = Array.from({ length: count }, () => new NaiveClient(url));
    await until(
      "naive clients are open",
      () => all.filter(({ isOpen }) => isOpen).length,
      (n) => n === count,
    );
    return all;
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  #dial(): WebSocket {
    const socket = new WebSocket(this.#url);
    let goodbye: { reason: string; reconnect: { afterMs: [number, number] } } | undefined;
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      if (text.startsWith('{"event":"goodbye"')) goodbye = JSON.parse(text) as typeof goodbye;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => this.errors.push(error.code ?? error.message));
    socket.on("close", (code) => {
      this.ends.push({ code, goodbye: goodbye?.reason, windowMs: goodbye?.reconnect.afterMs[1] });
      if (!this.#stopped) this.socket = this.#dial();
    });
    return socket;
  }

  /** Ends without a close frame. */
  stop(): void {
    this.#stopped = true;
    this.socket.terminate();
  }
}
