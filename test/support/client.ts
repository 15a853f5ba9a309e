/** Test clients: a WebSocket whose messages can be awaited, and a raw TCP peer that can misbehave. */
import { connect, type Socket } from "node:net";
import WebSocket from "ws";
import { until } from "./wait.js";

export type Message = Record<string, unknown>;

export class Client {
  readonly messages: Message[] = [];
  closed: { code: number; reason: string } | undefined;

  private constructor(readonly socket: WebSocket) {
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      this.messages.push(text.startsWith("{") ? (JSON.parse(text) as Message) : { text });
    });
    socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    socket.on("error", () => undefined);
  }

  static async open(url: string, protocols: string[] = []): Promise<Client> {
    const client = new Client(new WebSocket(url, protocols));
    await until(
      "socket opens",
      () => client.socket.readyState,
      (state) => state !== WebSocket.CONNECTING,
    );
    if (client.socket.readyState !== WebSocket.OPEN) throw new Error(`socket did not open: ${url}`);
    return client;
  }

  send(message: object | string): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** The first message, now or later, that matches. */
  async find(what: string, matches: (message: Message) => boolean): Promise<Message> {
    const found = await until(
      what,
      () => this.messages.find(matches),
      (message) => message !== undefined,
    );
    return found!;
  }

  async end(): Promise<void> {
    this.socket.close();
    await this.untilClosed();
  }

  async untilClosed(): Promise<{ code: number; reason: string }> {
    return (await until(
      "socket closes",
      () => this.closed,
      (closed) => closed !== undefined,
    ))!;
  }
}

export const HANDSHAKE = [
  "GET /ws HTTP/1.1",
  "Host: localhost",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "",
  "",
].join("\r\n");

/** Speaks bytes. `received` is everything so far, as latin1. */
export class RawPeer {
  received = "";
  ended = false;

  private constructor(readonly socket: Socket) {
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.toString("latin1");
    });
    socket.on("close", () => {
      this.ended = true;
    });
    socket.on("error", () => undefined);
  }

  static async connect(port: number): Promise<RawPeer> {
    const peer = new RawPeer(connect(port, "127.0.0.1"));
    await until(
      "tcp connects",
      () => peer.socket.readyState,
      (state) => state !== "opening",
    );
    return peer;
  }

  static async upgraded(port: number): Promise<RawPeer> {
    const peer = await RawPeer.connect(port);
    peer.socket.write(HANDSHAKE);
    await until(
      "upgraded",
      () => peer.received,
      (text) => text.includes("\r\n\r\n"),
    );
    peer.received = "";
    return peer;
  }

  /** Sends, and returns what came back when the gateway closed the connection. */
  async untilEnd(bytes?: string | Uint8Array): Promise<string> {
    if (bytes !== undefined) this.socket.write(bytes);
    await until(
      "the gateway closes",
      () => this.ended,
      (ended) => ended,
      20_000,
    );
    return this.received;
  }
}

/** A client frame; unmasked if asked for. `head` overrides the first byte. */
export function frame(
  opcode: number,
  payload: string | Uint8Array,
  options: { mask?: boolean; head?: number } = {},
): Buffer {
  const body = Buffer.from(payload);
  const masked = options.mask !== false;
  const length =
    body.length < 126 ? Buffer.from([body.length]) : Buffer.from([126, body.length >> 8, body.length & 0xff]);
  length[0]! |= masked ? 0x80 : 0;
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from([options.head ?? 0x80 | opcode]), length, Buffer.alloc(masked ? 4 : 0), body]);
}
