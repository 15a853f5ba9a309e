/**
 * The life of connections in a worker: opened, asks, is answered, closed. All connections share one `Sessions`. A connection
 * has no object, timer, closure or map of ours, only its entry in the set of open sockets (about 50 bytes), because at a
 * million connections every field counts. uWebSockets keeps what a socket subscribes to. Worker only.
 */
import { reqtypeOf } from "../catchup/answers.js";
import { Parking } from "../catchup/parking.js";
import { SlowReaders } from "../catchup/slow-readers.js";
import { monotonicMs } from "../clock.js";
import type { ServeConfig } from "../config/options.js";
import type { LeaveReason } from "../drain/goodbye.js";
import { ERRORS, GatewayError } from "../errors.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { CloseReason } from "../metrics/reasons.js";
import {
  BadRequest,
  errorReply,
  HEARTBEAT_REPLY,
  HEARTBEAT_REQUEST,
  heartbeatReply,
  parseRequest,
  type RequestId,
  type RequestName,
  type SubscribeRequest,
  unsubscribeReply,
} from "../protocol/messages.js";
import type { Socket, UserData } from "../protocol/socket.js";
import type { Topic, Topics } from "../topics/topics.js";
import { TokenExpiry } from "./expiry.js";
import { MessageRateLimit } from "./rate-limit.js";
import { Subscriptions, type Waiter } from "./subscriptions.js";

type SessionConfig = Pick<
  ServeConfig,
  | "maxMessageBytes"
  | "maxTopicsPerConnection"
  | "maxRequestsPerSecond"
  | "maxBackpressureBytes"
  | "slowReaderGraceMs"
  | "heartbeatText"
  | "heartbeatAnswer"
>;

/** A close with a frame: its row of the error table, the reason under which it is counted, and the text in the frame. */
interface Ending {
  readonly error: "messageTooBig" | "tooManyRequests" | "tokenExpired" | "draining" | "restarting";
  readonly reason: CloseReason;
  readonly text: string;
}

const HEARTBEAT_BYTES = Buffer.from(HEARTBEAT_REQUEST);

/** Sockets that get a best-effort message in one turn of the loop. */
const MAX_PER_TURN = 256;

export class Sessions {
  /** Sent to each new socket, if set. Answers to topics of its URL may still come after it. */
  greeting: Buffer | undefined;
  readonly subscriptions: Subscriptions;
  readonly parking: Parking;
  readonly slow: SlowReaders;
  readonly #config: SessionConfig;
  readonly #open = new Set<Socket>();
  readonly #rateLimit: MessageRateLimit;
  readonly #expiry = new TokenExpiry<Socket>(
    (socket) => socket.getUserData() as Required<UserData>,
    Math.floor(Date.now() / 1000),
  );
  readonly #textHeartbeat: Buffer;
  readonly #textHeartbeatAnswer: Buffer;
  /** Why this class closes a socket right now. A field, because uWebSockets runs the close handler inside `end()`. */
  #closing: CloseReason | undefined;

  constructor(
    topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "removeWaiters" | "emptied" | "journal">,
    config: SessionConfig,
  ) {
    this.#config = config;
    const { maxRequestsPerSecond: max, maxTopicsPerConnection } = config;
    // A client that reconnects asks for all of its topics at once.
    this.#rateLimit = new MessageRateLimit(max === 0 ? Infinity : max + maxTopicsPerConnection);
    this.#textHeartbeat = Buffer.from(config.heartbeatText);
    this.#textHeartbeatAnswer = Buffer.from(config.heartbeatAnswer);
    const find = (name: string): Topic | undefined => topics.find(name);
    this.parking = new Parking({
      deps: {
        find,
        emptied: (name) => topics.emptied(name, monotonicMs()),
        scheduleDisconnect: (socket) => this.slow.scheduleDisconnect(socket),
        askAgain: (socket, request) => this.subscriptions.subscribe(socket, request),
      },
      maxBufferedBytes: config.maxBackpressureBytes,
    });
    this.slow = new SlowReaders({
      parking: this.parking,
      journal: topics.journal,
      find,
      graceMs: config.slowReaderGraceMs,
      disconnect: (socket) => this.#disconnect(socket),
    });
    this.subscriptions = new Subscriptions({
      topics,
      parking: this.parking,
      config,
      sockets: {
        open: () => this.#open,
        write: (socket, message) => this.#write(socket, message),
        refuse: (socket, error, request) => {
          this.#refuse(socket, error, { reqtype: reqtypeOf(request), id: request.id, topic: request.topic });
        },
      },
    });
  }

  get size(): number {
    return this.#open.size;
  }

  /** Once a second. Tokens expire by the wall clock. */
  tick(nowMs: number, nowSecond = Math.floor(Date.now() / 1000)): void {
    this.#rateLimit.tick();
    this.slow.tick(nowMs);
    const { text } = ERRORS.tokenExpired;
    this.#expiry.tick(nowSecond, (socket) => this.#end(socket, { error: "tokenExpired", reason: "expired", text }));
  }

  /** A handshake succeeded; `topics` are those of the URL, already checked. */
  opened(socket: Socket, topics: readonly SubscribeRequest[]): void {
    this.#open.add(socket);
    counters[SLOT.accepted]! += 1;
    if (socket.getUserData().grant) this.#expiry.opened(socket);
    for (const request of topics) this.subscriptions.subscribe(socket, request);
    if (this.greeting) this.#sendBestEffort(socket, this.greeting);
  }

  /** Sends a message to all sockets; best effort: sockets with unsent bytes are skipped. */
  async broadcastBestEffort(message: Buffer): Promise<void> {
    let sent = 0;
    for (const socket of this.#open) {
      this.#sendBestEffort(socket, message);
      if (++sent % MAX_PER_TURN === 0) await new Promise(setImmediate);
    }
  }

  #sendBestEffort(socket: Socket, message: Buffer): void {
    if (!this.parking.has(socket) && socket.getBufferedAmount() === 0) this.#write(socket, message);
  }

  /** A message came; `bytes` is valid during the call only. */
  received(socket: Socket, bytes: Buffer, isBinary: boolean): void {
    counters[SLOT.messagesIn]! += 1;
    counters[SLOT.bytesIn]! += bytes.length;
    if (this.#endIfFlooding(socket)) return;
    if (bytes.length > this.#config.maxMessageBytes) {
      const text = `a message may have ${this.#config.maxMessageBytes} bytes`;
      this.#end(socket, { error: "messageTooBig", reason: "too_big", text });
    } else if (isBinary) {
      this.#refuse(socket, new GatewayError("binaryMessage"));
    } else if (bytes.equals(HEARTBEAT_BYTES)) {
      this.#answerHeartbeat(socket, HEARTBEAT_REPLY);
    } else if (bytes.equals(this.#textHeartbeat)) {
      this.#answerHeartbeat(socket, this.#textHeartbeatAnswer);
    } else {
      this.#request(socket, bytes.toString("utf8"));
    }
  }

  /** A ping, which uWebSockets has answered, or a pong. */
  pinged(socket: Socket): void {
    this.#endIfFlooding(socket);
  }

  #endIfFlooding(socket: Socket): boolean {
    if (!this.#rateLimit.exceeded(socket)) return false;
    const text = `a connection may send ${this.#rateLimit.max} messages and pings in a second`;
    this.#end(socket, { error: "tooManyRequests", reason: "flood", text });
    return true;
  }

  #request(socket: Socket, text: string): void {
    try {
      const request = parseRequest(text);
      switch (request.type) {
        case "heartbeat":
          this.#answerHeartbeat(socket, heartbeatReply(request.id));
          break;
        case "subscribe":
          this.subscriptions.subscribe(socket, request.request);
          break;
        case "unsubscribe":
          this.#unsubscribe(socket, request.topic, request.id);
          break;
      }
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      this.#refuse(socket, error, error.request);
    }
  }

  #answerHeartbeat(socket: Socket, answer: Buffer): void {
    counters[SLOT.heartbeats]! += 1;
    this.#reply(socket, answer);
  }

  #unsubscribe(socket: Socket, name: string, id: RequestId): void {
    if (this.subscriptions.unsubscribe(socket, name)) this.#reply(socket, unsubscribeReply(name, id));
    else this.#refuse(socket, new GatewayError("notSubscribed"), { reqtype: "Unsubscribe", id });
  }

  #refuse(socket: Socket, error: GatewayError, request: RequestName = {}): void {
    counters[SLOT.errorsAnswered]! += 1;
    this.#reply(socket, errorReply(error, request));
  }

  #reply(socket: Socket, message: Uint8Array): void {
    if (this.parking.has(socket) || this.#parkIfFull(socket)) this.parking.reply(socket, message);
    else this.#write(socket, message);
  }

  /** Sends at once. False where the buffer was full and the message was dropped. */
  #write(socket: Socket, message: Uint8Array): boolean {
    counters[SLOT.messagesOut]! += 1;
    counters[SLOT.bytesOut]! += message.length;
    return socket.send(message, false) !== 2;
  }

  /** A reply to a slow reader waits in its outbox, where one of its topics tolerates slow readers. */
  #parkIfFull(socket: Socket): boolean {
    if (socket.getBufferedAmount() <= this.#config.maxBackpressureBytes) return false;
    if (!socket.getTopics().some((name) => this.slow.toleratesSlowReaders(name))) return false;
    this.parking.overflowed(socket, []);
    return true;
  }

  /** The native drain handler. */
  drained(socket: Socket): void {
    this.parking.drained(socket);
  }

  /** The native dropped handler: the socket's buffer is full. */
  dropped(socket: Socket, message: Uint8Array): void {
    this.slow.dropped(socket, message);
  }

  #disconnect(socket: Socket): void {
    this.#closing = "slow";
    socket.close();
    this.#closing = undefined;
  }

  #end(socket: Socket, { error, reason, text }: Ending): void {
    this.#closing = reason;
    socket.end(ERRORS[error].close, text);
    this.#closing = undefined;
  }

  /** The native close handler. `observed` is the reason that socket/server.ts derives from the close code; a reason of our own overrides it. */
  closed(socket: Socket, observed: CloseReason): void {
    this.#open.delete(socket);
    if (socket.getUserData().grant) this.#expiry.closed(socket);
    this.slow.closed(socket);
    const reason = this.#closing ?? observed;
    this.parking.closed(socket, reason === "slow" ? "disconnect" : "closed");
    this.subscriptions.closed(socket);
    counters[SLOT[`closed_${reason}`]]! += 1;
  }

  /** Sends the message to at most `max` sockets and closes them (drain/goodbye.ts). */
  drain(max: number, message: Buffer, reason: LeaveReason): void {
    const error = reason === "restart" ? "restarting" : "draining";
    let left = max;
    for (const socket of this.#open) {
      if (left-- === 0) break;
      socket.cork(() => {
        if (!this.parking.isMidMessage(socket)) this.#reply(socket, message);
        this.#end(socket, { error, reason, text: ERRORS[error].text });
      });
    }
  }
}
