/**
 * What sockets follow: a wish is answered and the socket subscribed in one tick, so that the next publication is the first
 * that the answer does not cover. It waits where the topic, or the offset that the client has seen, is not here yet.
 */
import { monotonicMs } from "../clock.js";
import type { ServeConfig } from "../config/options.js";
import { ERRORS, GatewayError } from "../errors.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { VOID_EPOCH } from "../topics/journal.js";
import type { Remembered } from "../topics/memory.js";
import type { FollowFailure, Topic, Topics } from "../topics/topics.js";
import { answerOf, isAhead, resetOf } from "./answers.js";
import type { Parking } from "./parking.js";
import { PORTION_BYTES } from "./portion.js";
import type { Wish } from "./protocol.js";
import type { Socket } from "./socket.js";
import { type Waiter, Waiting } from "./waiting.js";

/** The session room's own sockets, and how they are answered. */
export interface Answering {
  open(): Iterable<Socket>;
  /** Sends; false where the buffer was full. */
  hand(socket: Socket, message: Uint8Array): boolean;
  refuse(socket: Socket, error: GatewayError, wish: Wish): void;
}

export class Following {
  readonly #waiting = new Waiting();

  constructor(
    private readonly topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "journal">,
    private readonly parking: Parking,
    private readonly config: Pick<ServeConfig, "maxTopicsPerConnection" | "maxBackpressureBytes">,
    private readonly sockets: Answering,
  ) {}

  /** Answered at once where the topic is here, else when the hub has described it. */
  subscribe(socket: Socket, wish: Wish): void {
    if (!this.#mayFollow(socket, wish.topic)) {
      const detail = `one connection may follow ${this.config.maxTopicsPerConnection} topics`;
      this.sockets.refuse(socket, new GatewayError("tooManyTopics", detail), wish);
      return;
    }
    const topic = this.topics.find(wish.topic);
    if (topic && !isAhead(wish, topic)) this.#join(socket, topic, wish);
    else this.#wait(socket, topic, wish);
  }

  #wait(socket: Socket, topic: Topic | undefined, wish: Wish): void {
    this.#waiting.begin(socket);
    const waiter = { socket, wish };
    if (topic && wish.since) this.topics.waitFor(topic, wish.since.offset, waiter, monotonicMs());
    else this.topics.wait(wish.topic, waiter, monotonicMs());
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
    const from = missed && wish.since ? { ...place, ...wish.since } : place;
    const missedBytes = missed?.reduce((sum, { push }) => sum + push.length, 0) ?? 0;
    if (this.parking.has(socket) || !this.#hasRoom(socket, message.length + missedBytes)) {
      this.parking.park(socket, topic.name, message, from);
      return;
    }
    // False: it is being cut, and must see no push of a topic of which it did not get the answer.
    if (!this.sockets.hand(socket, message.whole)) return;
    // What was pending went before the answer, and may have filled the buffer.
    if (this.parking.has(socket) || !this.#hasRoom(socket, missedBytes)) {
      this.parking.follow(socket, topic.name, from);
      return;
    }
    for (const { push } of missed ?? []) this.sockets.hand(socket, push);
    counters[SLOT.pushes]! += missed?.length ?? 0;
    socket.subscribe(topic.name);
  }

  #hasRoom(socket: Socket, bytes: number): boolean {
    return bytes <= PORTION_BYTES && socket.getBufferedAmount() + bytes <= this.config.maxBackpressureBytes;
  }

  /** What follows the client's position, where that is remembered. */
  #missed(topic: Topic, { since }: Wish): readonly Remembered[] | undefined {
    if (since === undefined) return undefined;
    const missed =
      since.epoch === topic.epoch ? topic.memory.since(since.offset, topic.offset, monotonicMs()) : undefined;
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
    for (const socket of this.sockets.open()) {
      if (socket.isSubscribed(topic.name)) this.parking.park(socket, topic.name, message, place);
    }
  }

  /** The topic cannot be had now: the hub did not describe it in time, or serves no further unpublished name. */
  gaveUp(name: string, waiting: readonly Waiter[], why: FollowFailure): void {
    const kind = why === "refused" ? "namesFull" : "hubUnavailable";
    const error = new GatewayError(kind, `topic ${name}: ${ERRORS[kind].text}`);
    for (const { socket, wish } of waiting) {
      if (this.#waiting.end(socket)) this.sockets.refuse(socket, error, wish);
    }
  }

  closed(socket: Socket): void {
    this.#waiting.closed(socket);
  }
}
