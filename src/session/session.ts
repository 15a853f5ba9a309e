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
import { reqtypeOf } from "./answers.js";
import type { LeaveReason } from "./farewell.js";
import { Following } from "./following.js";
import { Parking } from "./parking.js";
import {
  BadRequest,
  errorReply,
  HEARTBEAT_REPLY,
  HEARTBEAT_REQUEST,
  parseCommand,
  type RequestId,
  unsubscribeReply,
  type Wish,
} from "./protocol.js";
import { SlowReaders } from "./slow.js";
import type { Socket } from "./socket.js";
import { Talkers } from "./talkers.js";
import type { Waiter } from "./waiting.js";

type SessionConfig = Pick<
  ServeConfig,
  | "maxMessageBytes"
  | "maxTopicsPerConnection"
  | "maxRequestsPerSecond"
  | "maxBackpressureBytes"
  | "heartbeatText"
  | "heartbeatAnswer"
>;

const HEARTBEAT_BYTES = Buffer.from(HEARTBEAT_REQUEST);

export class Sessions {
  readonly #open = new Set<Socket>();
  readonly following: Following;
  readonly talkers: Talkers;
  readonly parking: Parking;
  readonly slow: SlowReaders;
  readonly #textHeartbeat: Buffer;
  readonly #textAnswer: Buffer;
  /** Why our own close call is running: the native close handler runs inside it. */
  #closing: CloseReason | undefined;

  constructor(
    topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "emptied" | "journal">,
    private readonly config: SessionConfig,
  ) {
    const { maxRequestsPerSecond: most, maxTopicsPerConnection } = config;
    // A client that comes back asks for all of its topics at once.
    this.talkers = new Talkers(most === 0 ? Infinity : most + maxTopicsPerConnection);
    this.#textHeartbeat = Buffer.from(config.heartbeatText);
    this.#textAnswer = Buffer.from(config.heartbeatAnswer);
    const find = (name: string): Topic | undefined => topics.find(name);
    const emptied = (name: string): void => topics.emptied(name, Date.now());
    const tooSlow = (socket: Socket): void => this.slow.tooSlow(socket);
    this.parking = new Parking({ find, emptied, tooSlow }, config.maxBackpressureBytes);
    this.slow = new SlowReaders(this.parking, topics.journal, find, (socket) => this.#cut(socket));
    this.following = new Following(topics, this.parking, config, {
      open: () => this.#open,
      hand: (socket, message) => this.#hand(socket, message),
      refuse: (socket, error, wish) => this.#refuse(socket, error, reqtypeOf(wish), wish.id, wish.topic),
    });
  }

  get size(): number {
    return this.#open.size;
  }

  /** A handshake succeeded; `topics` are those named in the URL, already checked. */
  opened(socket: Socket, topics: readonly Wish[]): void {
    this.#open.add(socket);
    counters[SLOT.accepted]! += 1;
    for (const wish of topics) this.following.subscribe(socket, wish);
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
    if (!this.talkers.tooMany(socket)) return false;
    const text = `a connection may send ${this.talkers.most} messages and pings in a second`;
    this.#end(socket, "tooManyRequests", "flood", text);
    return true;
  }

  #command(socket: Socket, text: string): void {
    try {
      const command = parseCommand(text);
      if (command.type === "heartbeat") this.#heartbeat(socket, HEARTBEAT_REPLY);
      else if (command.type === "subscribe") this.following.subscribe(socket, command.wish);
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
    const parked = this.parking.has(socket);
    if (parked ? this.parking.unsubscribe(socket, name) : socket.unsubscribe(name))
      this.#send(socket, unsubscribeReply(name, id));
    else this.#refuse(socket, new GatewayError("notSubscribed"), "Unsubscribe", id);
  }

  #refuse(socket: Socket, error: GatewayError, reqtype?: string, id?: RequestId, topic?: string): void {
    counters[SLOT.errorsAnswered]! += 1;
    this.#send(socket, errorReply(error, reqtype, id, topic));
  }

  #send(socket: Socket, message: Uint8Array): void {
    if (this.parking.has(socket) || this.#mustPark(socket)) this.parking.reply(socket, message);
    else this.#hand(socket, message);
  }

  #hand(socket: Socket, message: Uint8Array): void {
    counters[SLOT.messagesOut]! += 1;
    counters[SLOT.bytesOut]! += message.length;
    socket.send(message, false);
  }

  /** An answer to a reader that is too slow for a topic that bears with slow readers. */
  #mustPark(socket: Socket): boolean {
    if (socket.getBufferedAmount() <= this.config.maxBackpressureBytes) return false;
    if (!socket.getTopics().some((name) => this.slow.isLenient(name))) return false;
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
  sendAway(most: number, message: Buffer, reason: LeaveReason): void {
    let left = most;
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
