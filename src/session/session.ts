/**
 * One connection's life in a worker: opened, asks, is answered, closed. All connections share one `Sessions`; a
 * connection itself has no object, timer, closure or map of ours, only its entry in the set of open sockets (about 50
 * bytes), because at a million connections every field counts. What a socket subscribes to is kept by uWebSockets.
 */

import { reqtypeOf } from "../catchup/answers.js";
import { Parking } from "../catchup/parking.js";
import { SlowReaders } from "../catchup/slow-readers.js";
import { monotonicMs } from "../clock.js";
import type { ServeConfig } from "../config/options.js";
import type { LeaveReason } from "../drain/goodbye.js";
import { ERRORS, GatewayError } from "../errors.js";
import { type CloseReason, SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import {
  BadRequest,
  errorReply,
  HEARTBEAT_REPLY,
  HEARTBEAT_REQUEST,
  heartbeatReply,
  parseCommand,
  type RequestId,
  type SubscribeRequest,
  unsubscribeReply,
} from "../protocol/messages.js";
import type { Socket } from "../protocol/socket.js";
import type { Topic, Topics } from "../topics/topics.js";
import { MessageRateLimit } from "./rate-limit.js";
import type { Waiter } from "./subscriptions.js";
import { Following } from "./subscriptions.js";

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

const HEARTBEAT_BYTES = Buffer.from(HEARTBEAT_REQUEST);

/** Sockets that are told something in one turn of the loop. */
const TOLD_PER_TURN = 256;

export class Sessions {
  /** What newcomers are told of their own accord; answers to the topics of their URL may still have to wait. */
  greeting: Buffer | undefined;
  readonly #open = new Set<Socket>();
  readonly following: Following;
  readonly parking: Parking;
  readonly slow: SlowReaders;
  readonly #talkers: MessageRateLimit;
  readonly #textHeartbeat: Buffer;
  readonly #textAnswer: Buffer;
  /** Why our own close call is running: the native close handler runs inside it. */
  #closing: CloseReason | undefined;

  constructor(
    topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "removeWaiters" | "emptied" | "journal">,
    private readonly config: SessionConfig,
  ) {
    const { maxRequestsPerSecond: max, maxTopicsPerConnection } = config;
    // A client that comes back asks for all of its topics at once.
    this.#talkers = new MessageRateLimit(max === 0 ? Infinity : max + maxTopicsPerConnection);
    this.#textHeartbeat = Buffer.from(config.heartbeatText);
    this.#textAnswer = Buffer.from(config.heartbeatAnswer);
    const find = (name: string): Topic | undefined => topics.find(name);
    const emptied = (name: string): void => topics.emptied(name, monotonicMs());
    const scheduleDisconnect = (socket: Socket): void => this.slow.scheduleDisconnect(socket);
    const askAgain = (socket: Socket, request: SubscribeRequest): void => this.following.subscribe(socket, request);
    this.parking = new Parking({ find, emptied, scheduleDisconnect, askAgain }, config.maxBackpressureBytes);
    const cut = (socket: Socket): void => this.#cut(socket);
    this.slow = new SlowReaders(this.parking, topics.journal, find, config.slowReaderGraceMs, cut);
    this.following = new Following(topics, this.parking, config, {
      open: () => this.#open,
      write: (socket, message) => this.#write(socket, message),
      refuse: (socket, error, request) => this.#refuse(socket, error, reqtypeOf(request), request.id, request.topic),
    });
  }

  get size(): number {
    return this.#open.size;
  }

  /** Once a second. */
  tick(nowMs: number): void {
    this.#talkers.tick();
    this.slow.tick(nowMs);
  }

  /** A handshake succeeded; `topics` are those named in the URL, already checked. */
  opened(socket: Socket, topics: readonly SubscribeRequest[]): void {
    this.#open.add(socket);
    counters[SLOT.accepted]! += 1;
    for (const request of topics) this.following.subscribe(socket, request);
    if (this.greeting) this.#tell(socket, this.greeting);
  }

  /** Says to everybody who is here what helps them but is not owed: whoever reads slowly goes without. */
  async tellAll(message: Buffer): Promise<void> {
    let told = 0;
    for (const socket of this.#open) {
      this.#tell(socket, message);
      if (++told % TOLD_PER_TURN === 0) await new Promise(setImmediate);
    }
  }

  #tell(socket: Socket, message: Buffer): void {
    if (!this.parking.has(socket) && socket.getBufferedAmount() === 0) this.#write(socket, message);
  }

  /** A message came; `bytes` is only valid during the call. */
  received(socket: Socket, bytes: Buffer, isBinary: boolean): void {
    counters[SLOT.messagesIn]! += 1;
    counters[SLOT.bytesIn]! += bytes.length;
    if (this.#isFlood(socket)) return;
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

  /** A ping, which uWebSockets has answered, or a pong. */
  beat(socket: Socket): void {
    this.#isFlood(socket);
  }

  #isFlood(socket: Socket): boolean {
    if (!this.#talkers.exceeded(socket)) return false;
    const text = `a connection may send ${this.#talkers.max} messages and pings in a second`;
    this.#end(socket, "tooManyRequests", "flood", text);
    return true;
  }

  #command(socket: Socket, text: string): void {
    try {
      const command = parseCommand(text);
      if (command.type === "heartbeat") this.#heartbeat(socket, heartbeatReply(command.id));
      else if (command.type === "subscribe") this.following.subscribe(socket, command.request);
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

  /** The native drain handler. */
  drained(socket: Socket): void {
    this.parking.drained(socket);
  }

  #unsubscribe(socket: Socket, name: string, id: RequestId): void {
    if (this.following.unsubscribe(socket, name)) this.#send(socket, unsubscribeReply(name, id));
    else this.#refuse(socket, new GatewayError("notSubscribed"), "Unsubscribe", id);
  }

  #refuse(socket: Socket, error: GatewayError, reqtype?: string, id?: RequestId, topic?: string): void {
    counters[SLOT.errorsAnswered]! += 1;
    this.#send(socket, errorReply(error, reqtype, id, topic));
  }

  #send(socket: Socket, message: Uint8Array): void {
    if (this.parking.has(socket) || this.#mustPark(socket)) this.parking.reply(socket, message);
    else this.#write(socket, message);
  }

  #write(socket: Socket, message: Uint8Array): boolean {
    counters[SLOT.messagesOut]! += 1;
    counters[SLOT.bytesOut]! += message.length;
    return socket.send(message, false) !== 2;
  }

  /** An answer to a reader that is too slow, of a topic that bears with slow readers. */
  #mustPark(socket: Socket): boolean {
    if (socket.getBufferedAmount() <= this.config.maxBackpressureBytes) return false;
    if (!socket.getTopics().some((name) => this.slow.toleratesSlowReaders(name))) return false;
    this.parking.overflowed(socket, []);
    return true;
  }

  /** The native dropped handler: a full buffer. */
  dropped(socket: Socket, message: Uint8Array): void {
    this.slow.dropped(socket, message);
  }

  #cut(socket: Socket): void {
    this.#closing = "slow";
    socket.close();
    this.#closing = undefined;
  }

  #end(
    socket: Socket,
    kind: "messageTooBig" | "tooManyRequests" | "draining" | "restarting",
    reason: CloseReason,
    text: string,
  ): void {
    this.#closing = reason;
    socket.end(ERRORS[kind].close, text);
    this.#closing = undefined;
  }

  /** The native close handler. `seen` is the reason as the edge understood it; our own reason wins. */
  closed(socket: Socket, seen: CloseReason): void {
    this.#open.delete(socket);
    this.slow.closed(socket);
    const reason = this.#closing ?? seen;
    this.parking.closed(socket, reason === "slow" ? "disconnect" : "closed");
    this.following.closed(socket);
    counters[SLOT[`closed_${reason}`]]! += 1;
  }

  /** Says the message to `most` of the sockets and closes them (farewell.ts). */
  drain(max: number, message: Buffer, reason: LeaveReason): void {
    let left = max;
    for (const socket of this.#open) {
      if (left-- === 0) break;
      socket.cork(() => {
        if (!this.parking.midway(socket)) this.#send(socket, message);
        const kind = reason === "restart" ? "restarting" : "draining";
        this.#end(socket, kind, reason, ERRORS[kind].text);
      });
    }
  }
}
