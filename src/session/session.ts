/**
 * One connection's life in a worker: opened, asks, is answered, closed. All connections share one `Sessions`; a
 * connection itself has no object, timer, closure or map of ours, only its entry in the set of open sockets (about 50
 * bytes), because at a million connections every field counts. What a socket subscribes to is kept by uWebSockets.
 */
import type { ServeConfig } from "../config/options.js";
import { ERRORS, GatewayError } from "../errors.js";
import { type CloseReason, SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { VOID_EPOCH } from "../topics/journal.js";
import type { Remembered } from "../topics/memory.js";
import type { Topic, Topics } from "../topics/topics.js";
import { answerOf, isAhead, reqtypeOf, resetOf } from "./answers.js";
import { Parking } from "./parking.js";
import { PORTION_BYTES } from "./portion.js";
import {
  BadRequest,
  errorReply,
  goodbye,
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
import { type Waiter, Waiting } from "./waiting.js";

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
  readonly #waiting = new Waiting();
  readonly talkers: Talkers;
  readonly parking: Parking;
  readonly slow: SlowReaders;
  readonly #textHeartbeat: Buffer;
  readonly #textAnswer: Buffer;
  /** Why our own close call is running: the native close handler runs inside it. */
  #closing: CloseReason | undefined;

  constructor(
    private readonly topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "emptied" | "journal">,
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
  }

  get size(): number {
    return this.#open.size;
  }

  /** A handshake succeeded; `topics` are those named in the URL, already checked. */
  opened(socket: Socket, topics: readonly Wish[]): void {
    this.#open.add(socket);
    counters[SLOT.accepted]! += 1;
    for (const wish of topics) this.#subscribe(socket, wish);
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
      else if (command.type === "subscribe") this.#subscribe(socket, command.wish);
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

  #subscribe(socket: Socket, wish: Wish): void {
    if (!this.#mayFollow(socket, wish.topic)) {
      const detail = `one connection may follow ${this.config.maxTopicsPerConnection} topics`;
      this.#refuse(socket, new GatewayError("tooManyTopics", detail), reqtypeOf(wish), wish.id);
      return;
    }
    const topic = this.topics.find(wish.topic);
    if (topic && !isAhead(wish, topic)) this.#join(socket, topic, wish);
    else this.#wait(socket, topic, wish);
  }

  #wait(socket: Socket, topic: Topic | undefined, wish: Wish): void {
    this.#waiting.begin(socket);
    const waiter = { socket, wish };
    if (topic && wish.since) this.topics.waitFor(topic, wish.since.offset, waiter, Date.now());
    else this.topics.wait(wish.topic, waiter, Date.now());
  }

  #mayFollow(socket: Socket, name: string): boolean {
    const { maxTopicsPerConnection } = this.config;
    const waiting = this.#waiting.count(socket);
    const parked = this.parking.topicsOf(socket);
    // Following it already does not help one that waits for more than it may follow.
    if (waiting >= maxTopicsPerConnection) return false;
    if (parked) return parked.size + waiting < maxTopicsPerConnection || parked.has(name);
    return socket.getTopics().length + waiting < maxTopicsPerConnection || socket.isSubscribed(name);
  }

  /** Subscribed and answered in one tick, so that the next publication is the first that the answer does not cover. */
  #join(socket: Socket, topic: Topic, wish: Wish): void {
    const missed = this.#missed(topic, wish);
    const { message, place } = answerOf(topic, wish, missed !== undefined);
    const bytes = missed?.reduce((sum, { push }) => sum + push.length, message.length) ?? message.length;
    if (this.parking.has(socket) || !this.#hasRoom(socket, bytes)) {
      this.parking.park(socket, topic.name, message, missed && wish.since ? { ...place, ...wish.since } : place);
      return;
    }
    this.#hand(socket, message.whole);
    for (const { push } of missed ?? []) this.#hand(socket, push);
    counters[SLOT.pushes]! += missed?.length ?? 0;
    // What was pending before the answer may have overflowed: then the answer did not fit, and the socket is being cut.
    if (!this.parking.has(socket)) socket.subscribe(topic.name);
  }

  #hasRoom(socket: Socket, bytes: number): boolean {
    return bytes <= PORTION_BYTES && socket.getBufferedAmount() + bytes <= this.config.maxBackpressureBytes;
  }

  /** What follows the client's position, where that is remembered. */
  #missed(topic: Topic, { since }: Wish): readonly Remembered[] | undefined {
    if (since === undefined) return undefined;
    const missed = since.epoch === topic.epoch ? topic.memory.since(since.offset, topic.offset, Date.now()) : undefined;
    counters[missed ? SLOT.recoveries : SLOT.recoveriesFailed]! += 1;
    return missed;
  }

  /**
   * The hub described a topic, or it came to an offset: everybody who waited for it and is still here joins. `inVain`:
   * the offset did not come in time.
   */
  arrived(topic: Topic, waiting: readonly Waiter[], inVain: boolean): void {
    for (const { socket, wish } of waiting) {
      if (!this.#waiting.end(socket)) continue;
      if (isAhead(wish, topic) && !inVain) this.#wait(socket, topic, wish);
      else this.#join(socket, topic, wish);
    }
  }

  /** Everything that this worker knew of a topic is void: each subscriber is told what holds now. */
  reset(topic: Topic, publish: (message: Uint8Array) => void): void {
    const { message, place } = resetOf(topic);
    // Parked sockets find out by their place. A large event must not go to all in one tick: they are parked for it.
    if (message.length <= PORTION_BYTES) {
      this.topics.journal.record(topic.name, { ...place, epoch: VOID_EPOCH });
      publish(message.whole);
      return;
    }
    for (const socket of this.#open) {
      if (socket.isSubscribed(topic.name)) this.parking.park(socket, topic.name, message, place);
    }
  }

  /** The native drain handler. */
  drained(socket: Socket): void {
    this.parking.drained(socket);
  }

  /** The hub did not describe a topic in time. */
  gaveUp(name: string, waiting: readonly Waiter[]): void {
    const error = new GatewayError("hubUnavailable", `topic ${name}: ${ERRORS.hubUnavailable.text}`);
    for (const { socket, wish } of waiting) {
      if (this.#waiting.end(socket)) this.#refuse(socket, error, reqtypeOf(wish), wish.id);
    }
  }

  #unsubscribe(socket: Socket, name: string, id: RequestId): void {
    const parked = this.parking.has(socket);
    if (parked ? this.parking.unsubscribe(socket, name) : socket.unsubscribe(name))
      this.#send(socket, unsubscribeReply(name, id));
    else this.#refuse(socket, new GatewayError("notSubscribed"), "Unsubscribe", id);
  }

  #refuse(socket: Socket, error: GatewayError, reqtype?: string, id?: RequestId): void {
    counters[SLOT.errorsAnswered]! += 1;
    this.#send(socket, errorReply(error, reqtype, id));
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
    kind: "messageTooBig" | "tooManyRequests" | "draining",
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
    this.#waiting.closed(socket);
    counters[SLOT[`closed_${reason}`]]! += 1;
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
          if (!this.parking.midway(socket)) this.#send(socket, farewell);
          this.#end(socket, "draining", "drain", ERRORS.draining.text);
        });
      }
      await new Promise(setImmediate);
    }
  }
}
