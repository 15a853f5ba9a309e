/**
 * One connection's life in a worker: opened, asks, is answered, closed. All connections share one `Sessions`; a
 * connection itself has no object, timer, closure or map of ours, only its entry in the set of open sockets (about 50
 * bytes), because at a million connections every field counts. What a socket subscribes to is kept by uWebSockets.
 */
import type { ServeConfig } from "../config/options.js";
import { ERRORS, GatewayError } from "../errors.js";
import { type CloseReason, SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { Remembered } from "../topics/memory.js";
import type { Topic, Topics } from "../topics/topics.js";
import { answerOf, isAhead, reqtypeOf, told } from "./answers.js";
import { Parking, PORTION_BYTES } from "./parking.js";
import {
  BadRequest,
  errorReply,
  goodbye,
  HEARTBEAT_REPLY,
  HEARTBEAT_REQUEST,
  parseCommand,
  type RequestId,
  resetEvent,
  unsubscribeReply,
  type Wish,
} from "./protocol.js";
import type { Socket } from "./socket.js";

/** A subscriber that waits for its topic, or for the offset that it has seen already. */
export interface Waiter {
  readonly socket: Socket;
  readonly wish: Wish;
}

type SessionConfig = Pick<
  ServeConfig,
  "maxMessageBytes" | "maxTopicsPerConnection" | "maxBackpressureBytes" | "heartbeatText" | "heartbeatAnswer"
>;

const HEARTBEAT_BYTES = Buffer.from(HEARTBEAT_REQUEST);

export class Sessions {
  readonly #open = new Set<Socket>();
  /** Sockets with waiting subscriptions, and how many; usually empty. */
  readonly #waiting = new Map<Socket, number>();
  readonly #slow = new Set<Socket>();
  readonly parking: Parking;
  readonly #textHeartbeat: Buffer;
  readonly #textAnswer: Buffer;
  /** Why our own close call is running: the native close handler runs inside it. */
  #closing: CloseReason | undefined;

  constructor(
    private readonly topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "emptied">,
    private readonly config: SessionConfig,
  ) {
    this.#textHeartbeat = Buffer.from(config.heartbeatText);
    this.#textAnswer = Buffer.from(config.heartbeatAnswer);
    const around = {
      find: (name: string) => topics.find(name),
      resetEvent: (topic: Topic) => resetEvent(told(topic)),
      emptied: (name: string) => topics.emptied(name, Date.now()),
      tooSlow: (socket: Socket) => this.#slowReader(socket),
    };
    this.parking = new Parking(around, config.maxBackpressureBytes);
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
    this.#waiting.set(socket, (this.#waiting.get(socket) ?? 0) + 1);
    const waiter = { socket, wish };
    if (topic && wish.since) this.topics.waitFor(topic, wish.since.offset, waiter, Date.now());
    else this.topics.wait(wish.topic, waiter, Date.now());
  }

  #mayFollow(socket: Socket, name: string): boolean {
    const { maxTopicsPerConnection } = this.config;
    const waiting = this.#waiting.size > 0 ? (this.#waiting.get(socket) ?? 0) : 0;
    const parked = this.parking.topicsOf(socket);
    if (parked) return parked.size + waiting < maxTopicsPerConnection || parked.has(name);
    return socket.getTopics().length + waiting < maxTopicsPerConnection || socket.isSubscribed(name);
  }

  /** Subscribed and answered in one tick, so that the next publication is the first that the answer does not cover. */
  #join(socket: Socket, topic: Topic, wish: Wish): void {
    const missed = this.#missed(topic, wish);
    const answer = answerOf(topic, wish, missed !== undefined);
    const bytes = missed?.reduce((sum, { push }) => sum + push.length, answer.length) ?? answer.length;
    if (bytes > PORTION_BYTES || this.parking.has(socket)) {
      const from = missed && wish.since ? wish.since : { epoch: topic.epoch, offset: topic.offset };
      this.parking.park(socket, topic, answer, from);
      return;
    }
    this.#send(socket, answer);
    for (const { push } of missed ?? []) {
      this.#send(socket, push);
      counters[SLOT.pushes]! += 1;
    }
    socket.subscribe(topic.name);
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
    for (const waiter of waiting) {
      if (!this.#stopWaiting(waiter)) continue;
      const { socket, wish } = waiter;
      if (isAhead(wish, topic) && !inVain) this.#wait(socket, topic, wish);
      else this.#join(socket, topic, wish);
    }
  }

  /** Everything that this worker knew of a topic is void: each subscriber is told what holds now. */
  reset(topic: Topic, publish: (message: Uint8Array) => void): void {
    const event = resetEvent(told(topic));
    // Parked sockets find out by their cursor. A large event must not go to all in one tick: they are parked for it.
    if (event.length <= PORTION_BYTES) {
      publish(event);
      return;
    }
    for (const socket of this.#open) {
      if (!socket.isSubscribed(topic.name)) continue;
      this.parking.park(socket, topic, event, { epoch: topic.epoch, offset: topic.offset });
    }
  }

  /** The native drain handler. */
  drained(socket: Socket): void {
    this.parking.drained(socket);
  }

  /** The hub did not describe a topic in time. */
  gaveUp(name: string, waiting: readonly Waiter[]): void {
    const error = new GatewayError("hubUnavailable", `topic ${name}: ${ERRORS.hubUnavailable.text}`);
    for (const waiter of waiting) {
      if (this.#stopWaiting(waiter)) this.#refuse(waiter.socket, error, reqtypeOf(waiter.wish), waiter.wish.id);
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
    counters[SLOT.messagesOut]! += 1;
    counters[SLOT.bytesOut]! += message.length;
    if (this.parking.has(socket)) this.parking.reply(socket, message);
    else socket.send(message, false);
  }

  /**
   * uWebSockets dropped a message for a full socket. Inside that callback close and end crash and send recurses
   * (KERNEL.md §3.4), so the socket is cut in the next turn; it cannot be told, for its pipe is full.
   */
  dropped(socket: Socket, bytes: number): void {
    counters[SLOT.dropped]! += 1;
    counters[SLOT.droppedBytes]! += bytes;
    this.#slowReader(socket);
  }

  #slowReader(socket: Socket): void {
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
    this.parking.closed(socket);
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
          if (!this.parking.midway(socket)) this.#send(socket, farewell);
          this.#end(socket, "draining", "drain", ERRORS.draining.text);
        });
      }
      await new Promise(setImmediate);
    }
  }
}
