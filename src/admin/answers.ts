/**
 * Answers of the admin port on their way to clients that may not read them. Each connection has one larger answer at a
 * time, made when its turn comes; the bytes that wait in this process are bounded over all connections, and nobody may
 * take longer than the given time for an answer: who does is cut and counted. Publishers and probes (POST, /healthz,
 * /readyz) wait for nobody here. Hub process only.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { AdminRefuseReason } from "../metrics/reasons.js";
import { Turns } from "./turns.js";

/** An answer: an object becomes JSON; text is sent as it is. */
export interface Answer {
  readonly status?: number;
  readonly body: object | string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface AnswerLimits {
  /** Of all answers that clients have not taken. */
  readonly answerBytes: number;
  /** For a client to take an answer. */
  readonly answerSeconds: number;
  readonly onRefused: (reason: AdminRefuseReason) => void;
}

/** Requests of one connection that may wait; a publisher's pipeline is not among them. */
const MAX_WAITING = 100;
const SWEEP_MS = 1000;
const PROBES = /^\/(?:healthz|readyz)(?:\?|$)/;

/** What one connection has been sent and has not taken. */
interface Unread {
  bytes: number;
  /** Since it last took an answer whole, or was sent the first. */
  sinceMs: number;
}

export class Answers {
  /** In the order of `sinceMs`: the first has waited longest. */
  readonly #unread = new Map<Socket, Unread>();
  readonly #lines = new WeakMap<Socket, { tail: Promise<void>; length: number }>();
  /** Connections whose end is listened for. */
  readonly #watched = new WeakSet<Socket>();
  readonly #turns = new Turns();
  readonly #sweep: NodeJS.Timeout;
  /** Bytes that wait in all. */
  #bytes = 0;

  readonly #limits: AnswerLimits;

  constructor(limits: AnswerLimits) {
    this.#limits = limits;
    this.#sweep = setInterval(() => this.#cutLate(performance.now()), SWEEP_MS).unref();
  }

  close(): void {
    clearInterval(this.#sweep);
  }

  /** Calls `answer` when it is this request's turn; at once where nothing large can come of it. */
  async inTurn(request: IncomingMessage, response: ServerResponse, answer: () => Promise<void>): Promise<void> {
    if (request.method === "POST" || PROBES.test(request.url ?? "")) {
      await answer();
      return;
    }
    const { socket } = request;
    const line = this.#lines.get(socket) ?? { tail: Promise.resolve(), length: 0 };
    this.#lines.set(socket, line);
    if (line.length >= MAX_WAITING) {
      this.#limits.onRefused("pipelined");
      socket.destroy();
      return;
    }
    line.length += 1;
    line.tail = line.tail.then(async () => {
      await this.#turns.mine();
      if (!socket.destroyed && !socket.writableEnded) await answer();
      line.length -= 1;
      // The next one is made when this one has been taken.
      if (!socket.destroyed && !response.closed) await eitherCloses(response, socket);
    });
    await line.tail;
  }

  send(response: ServerResponse, { status = 200, body, contentType, headers }: Answer): void {
    const payload = Buffer.from(typeof body === "string" ? body : `${JSON.stringify(body)}\n`);
    response.writeHead(status, {
      ...headers,
      "Content-Type": contentType ?? (typeof body === "string" ? "text/plain; charset=utf-8" : "application/json"),
      "Content-Length": payload.length,
    });
    response.end(payload);
    const { socket } = response.req;
    if (response.closed || socket.destroyed) return;
    this.#add(socket, payload.length);
    response.once("close", () => this.#taken(socket, payload.length));
    while (this.#bytes > this.#limits.answerBytes) this.#cutFirst();
  }

  #add(socket: Socket, bytes: number): void {
    this.#bytes += bytes;
    const unread = this.#unread.get(socket);
    if (unread) {
      unread.bytes += bytes;
      return;
    }
    this.#unread.set(socket, { bytes, sinceMs: performance.now() });
    if (this.#watched.has(socket)) return;
    this.#watched.add(socket);
    // A response behind another one of its pipeline may never hear that its connection has ended.
    socket.once("close", () => this.#taken(socket, Number.POSITIVE_INFINITY));
  }

  #taken(socket: Socket, bytes: number): void {
    const unread = this.#unread.get(socket);
    if (!unread) return;
    const taken = Math.min(bytes, unread.bytes);
    this.#bytes -= taken;
    this.#unread.delete(socket);
    if (unread.bytes > taken) this.#unread.set(socket, { bytes: unread.bytes - taken, sinceMs: performance.now() });
  }

  #cutLate(nowMs: number): void {
    for (const { sinceMs } of this.#unread.values()) {
      if (nowMs - sinceMs < this.#limits.answerSeconds * 1000) return;
      this.#cutFirst();
    }
  }

  #cutFirst(): void {
    const [first] = this.#unread.keys();
    if (!first) return;
    this.#limits.onRefused("unread");
    this.#taken(first, Number.POSITIVE_INFINITY);
    first.destroy();
  }
}

/** Leaves no listener behind: one connection may bring thousands of requests. */
function eitherCloses(response: ServerResponse, socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("close", done);
      socket.off("close", done);
      resolve();
    };
    response.once("close", done);
    socket.once("close", done);
  });
}
