/**
 * The worker's end of its link to the hub: dials the hub's unix socket, says hello, hands frames to the given receiver,
 * and dials again when the link breaks (the hub may die and come back while every client stays). Sends are dropped while
 * there is no link; what must survive is repeated when the hub says `welcome`. Worker only.
 */
import { createConnection, type Socket } from "node:net";
import type { Log } from "../log.js";
import { encode, FrameReader, type ToHub, type ToWorker } from "./wire.js";

const RETRY_MS = { first: 20, most: 1000 };

export interface LinkOptions {
  readonly path: string;
  readonly worker: number;
  readonly onLost: () => void;
  readonly onFrame: (frame: ToWorker) => void;
  readonly log: Log;
}

export class Link {
  #socket: Socket | undefined;
  #up = false;
  #stopped = false;
  #retryMs = RETRY_MS.first;

  constructor(private readonly options: LinkOptions) {
    this.#dial();
  }

  get up(): boolean {
    return this.#up;
  }

  send(frame: ToHub): void {
    if (this.#up) this.#socket?.write(encode(frame));
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.destroy();
  }

  #dial(): void {
    const socket = createConnection(this.options.path);
    const reader = new FrameReader();
    this.#socket = socket;
    socket.on("connect", () => this.#connected());
    socket.on("data", (chunk) => this.#received(socket, reader, chunk));
    // The reason is in `close`; without a listener an error would end the process.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#lost());
  }

  #connected(): void {
    this.#up = true;
    this.#retryMs = RETRY_MS.first;
    this.send({ type: "hello", worker: this.options.worker, pid: process.pid });
  }

  #received(socket: Socket, reader: FrameReader, chunk: Buffer): void {
    try {
      for (const frame of reader.read(chunk)) this.options.onFrame(frame as ToWorker);
    } catch (error) {
      this.options.log("error", "broken frame from the hub; dialling again", { error: String(error) });
      socket.destroy();
    }
  }

  #lost(): void {
    const wasUp = this.#up;
    this.#up = false;
    if (this.#stopped) return;
    if (wasUp) this.options.onLost();
    setTimeout(() => this.#dial(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most);
  }
}
