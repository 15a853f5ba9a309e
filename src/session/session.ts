/**
 * One connection's life in a worker: opened, asks, is answered, closed. All connections share one `Sessions`; a
 * connection itself has no object, timer, closure or map of ours, only its entry in the set of open sockets (about 50
 * bytes), because at a million connections every field counts. What a socket subscribes to is kept by uWebSockets.
 */
import type { ServeConfig } from "../config/options.js";
import { ERRORS, GatewayError } from "../errors.js";
import { type CloseReason, SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { Topic, Topics } from "../topics/topics.js";
import {
  BadRequest,
  errorReply,
  goodbye,
  HEARTBEAT_REPLY,
  HEARTBEAT_REQUEST,
  parseCommand,
  type RequestId,
  subscribeReply,
  unsubscribeReply,
} from "./protocol.js";

/** What this room needs of a native socket. Everything but `closed` throws once the socket is closed. */
export interface Socket {
  send(message: Uint8Array, isBinary: boolean): number;
  subscribe(topic: string): boolean;
  unsubscribe(topic: string): boolean;
  isSubscribed(topic: string): boolean;
  getTopics(): string[];
  cork(run: () => void): unknown;
  /** Close with a frame; runs the close handler before it returns. */
  end(code: number, reason: string): void;
  /** Cut without a frame; runs the close handler before it returns. */
  close(): void;
}

/** A subscriber that waits until the hub has described its topic. */
export interface Waiter {
  readonly socket: Socket;
  readonly id: RequestId;
}

type SessionConfig = Pick<
  ServeConfig,
  "maxMessageBytes" | "maxTopicsPerConnection" | "heartbeatText" | "heartbeatAnswer"
>;

const HEARTBEAT_BYTES = Buffer.from(HEARTBEAT_REQUEST);

export class Sessions {
  readonly #open = new Set<Socket>();
  /** Sockets with waiting subscriptions, and how many; usually empty. */
  readonly #waiting = new Map<Socket, number>();
  readonly #slow = new Set<Socket>();
  readonly #textHeartbeat: Buffer;
  readonly #textAnswer: Buffer;
  /** Why our own close call is running: the native close handler runs inside it. */
  #closing: CloseReason | undefined;

  constructor(
    private readonly topics: Pick<Topics<Waiter>, "find" | "wait">,
    private readonly config: SessionConfig,
  ) {
    this.#textHeartbeat = Buffer.from(config.heartbeatText);
    this.#textAnswer = Buffer.from(config.heartbeatAnswer);
  }

  get size(): number {
    return this.#open.size;
  }

  /** A handshake succeeded; `topics` are those named in the URL, already checked. */
  opened(socket: Socket, topics: readonly string[]): void {
    this.#open.add(socket);
    counters[SLOT.accepted]! += 1;
    for (const name of topics) this.#subscribe(socket, name, undefined);
  }

  /** A message came; `bytes` is only valid during the call. */
  received(socket: Socket, bytes: Buffer, isBinary: boolean): void {
    counters[SLOT.messagesIn]! += 1;
    counters[SLOT.bytesIn]! += bytes.length;
    if (bytes.length > this.config.maxMessageBytes) {
      this.#end(socket, "messageTooBig", "too_big", `a message may have ${this.config.maxMessageBytes} bytes`);
    } else if (isBinary) {
      this.#refuse(socket, new GatewayError("binaryMessage"));
    } else if (bytes.equals(HEARTBEAT_BYTES)) {
      this.#heartbeat(socket, HEARTBEAT_REPLY);
    } else if (bytes.equals(this.#textHeartbeat)) {
      this.#heartbeat(socket, this.#textAnswer);
    } else {
      this.#command(socket, bytes.toString("utf8"));
    }
  }

  #command(socket: Socket, text: string): void {
    try {
      const command = parseCommand(text);
      if (command.type === "heartbeat") this.#heartbeat(socket, HEARTBEAT_REPLY);
      else if (command.type === "subscribe") this.#subscribe(socket, command.topic, command.id);
      else this.#unsubscribe(socket, command.topic, command.id);
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      this.#refuse(socket, error, error.reqtype, error.id);
    }
  }

  #heartbeat(socket: Socket, answer: Buffer): void {
    counters[SLOT.heartbeats]! += 1;
    this.#send(socket, answer);
  }

  #subscribe(socket: Socket, name: string, id: RequestId): void {
    if (!this.#mayFollow(socket, name)) {
      const detail = `one connection may follow ${this.config.maxTopicsPerConnection} topics`;
      this.#refuse(socket, new GatewayError("tooManyTopics", detail), "Subscribe", id);
      return;
    }
    const topic = this.topics.find(name);
    if (topic) {
      this.#join(socket, topic, id);
      return;
    }
    this.#waiting.set(socket, (this.#waiting.get(socket) ?? 0) + 1);
    this.topics.wait(name, { socket, id }, Date.now());
  }

  #mayFollow(socket: Socket, name: string): boolean {
    const { maxTopicsPerConnection } = this.config;
    const waiting = this.#waiting.size > 0 ? (this.#waiting.get(socket) ?? 0) : 0;
    return socket.getTopics().length + waiting < maxTopicsPerConnection || socket.isSubscribed(name);
  }

  /** Subscribed and answered in one tick, so that the next publication is the first that the answer does not cover. */
  #join(socket: Socket, topic: Topic, id: RequestId): void {
    socket.subscribe(topic.name);
    if (id === undefined) {
      topic.answer ??= subscribeReply(topic.name, topic, undefined);
      this.#send(socket, topic.answer);
    } else {
      this.#send(socket, subscribeReply(topic.name, topic, id));
    }
  }

  /** The hub described a topic: everybody who waited for it and is still here joins. */
  arrived(topic: Topic, waiting: readonly Waiter[]): void {
    for (const waiter of waiting) if (this.#stopWaiting(waiter)) this.#join(waiter.socket, topic, waiter.id);
  }

  /** The hub did not describe a topic in time. */
  gaveUp(name: string, waiting: readonly Waiter[]): void {
    const error = new GatewayError("hubUnavailable", `topic ${name}: ${ERRORS.hubUnavailable.text}`);
    for (const waiter of waiting) {
      if (this.#stopWaiting(waiter)) this.#refuse(waiter.socket, error, "Subscribe", waiter.id);
    }
  }

  /** False if the socket closed meanwhile. */
  #stopWaiting({ socket }: Waiter): boolean {
    const count = this.#waiting.get(socket);
    if (count === undefined) return false;
    if (count > 1) this.#waiting.set(socket, count - 1);
    else this.#waiting.delete(socket);
    return true;
  }

  #unsubscribe(socket: Socket, name: string, id: RequestId): void {
    if (socket.unsubscribe(name)) this.#send(socket, unsubscribeReply(name, id));
    else this.#refuse(socket, new GatewayError("notSubscribed"), "Unsubscribe", id);
  }

  #refuse(socket: Socket, error: GatewayError, reqtype?: string, id?: RequestId): void {
    counters[SLOT.errorsAnswered]! += 1;
    this.#send(socket, errorReply(error, reqtype, id));
  }

  #send(socket: Socket, message: Uint8Array): void {
    counters[SLOT.messagesOut]! += 1;
    counters[SLOT.bytesOut]! += message.length;
    socket.send(message, false);
  }

  /**
   * uWebSockets dropped a message for a full socket. Inside that callback close and end crash and send recurses
   * (KERNEL.md §3.4), so the socket is cut in the next turn; it cannot be told, for its pipe is full.
   */
  dropped(socket: Socket, bytes: number): void {
    counters[SLOT.dropped]! += 1;
    counters[SLOT.droppedBytes]! += bytes;
    if (this.#slow.size === 0) setImmediate(() => this.#cutSlow());
    this.#slow.add(socket);
  }

  #cutSlow(): void {
    for (const socket of this.#slow) {
      this.#slow.delete(socket);
      this.#closing = "slow";
      socket.close();
      this.#closing = undefined;
    }
  }

  #end(socket: Socket, kind: "messageTooBig" | "draining", reason: CloseReason, text: string): void {
    this.#closing = reason;
    socket.end(ERRORS[kind].close, text);
    this.#closing = undefined;
  }

  /** The native close handler. `seen` is the reason as the edge understood it; our own reason wins. */
  closed(socket: Socket, seen: CloseReason): void {
    this.#open.delete(socket);
    this.#slow.delete(socket);
    if (this.#waiting.size > 0) this.#waiting.delete(socket);
    counters[SLOT[`closed_${this.#closing ?? seen}`]]! += 1;
  }

  /** Says goodbye to everybody, a slice a turn, so that handshakes and pongs are still answered in between. */
  async endAll(windowMs: number): Promise<void> {
    const SLICE = 256;
    const farewell = goodbye("drain", windowMs);
    while (this.#open.size > 0) {
      let left = SLICE;
      for (const socket of this.#open) {
        if (left-- === 0) break;
        socket.cork(() => {
          this.#send(socket, farewell);
          this.#end(socket, "draining", "drain", ERRORS.draining.text);
        });
      }
      await new Promise(setImmediate);
    }
  }
}
