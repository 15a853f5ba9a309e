/**
 * What sockets follow: a request is answered and the socket subscribed in one tick, so that the next publication is the
 * first that the answer does not cover. It waits where the topic, or the offset that the client has seen, is not here yet.
 * Requests of one connection that concern one topic take effect in their order, and each is answered once. Worker only.
 */

import { answerTo, countRecovery, isAhead, resetOf } from "../catchup/answers.js";
import type { Parking } from "../catchup/parking.js";
import { monotonicMs } from "../clock.js";
import type { ServeConfig } from "../config/options.js";
import { ERRORS, GatewayError } from "../errors.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { SubscribeRequest } from "../protocol/messages.js";
import { MAX_CHUNK_BYTES } from "../protocol/shared-message.js";
import type { Socket } from "../protocol/socket.js";
import { VOID_EPOCH } from "../topics/journal.js";
import type { FollowFailure, Topic, Topics } from "../topics/topics.js";

/** The session room's own sockets, and how they are answered. */
export interface Answering {
  open(): Iterable<Socket>;
  /** Sends; false where the buffer was full. */
  write(socket: Socket, message: Uint8Array): boolean;
  refuse(socket: Socket, error: GatewayError, request: SubscribeRequest): void;
}

/**
 * From this size on uWebSockets does not gather what is published: it sends in the midst of its list of subscribers, and a full
 * socket that is found there cannot be unsubscribed: the process crashes (tried: 16,383 bytes went well, 16,384 did not).
 */
const PUBLISHED_AT_ONCE_BYTES = 16_384;

/** Requests of one connection that may wait, besides one for each topic that it may have. */
const MAX_REPEATED_REQUESTS = 32;

export class Following {
  readonly #waiting = new Waiting();

  constructor(
    private readonly topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "removeWaiters" | "journal">,
    private readonly parking: Parking,
    private readonly config: Pick<ServeConfig, "maxTopicsPerConnection" | "maxBackpressureBytes">,
    private readonly sockets: Answering,
  ) {}

  /** Answered at once where the topic is here, else when the hub has described it. */
  subscribe(socket: Socket, request: SubscribeRequest): void {
    const { maxTopicsPerConnection } = this.config;
    if (!this.#mayFollow(socket, request.topic)) {
      const detail = `one connection may follow ${maxTopicsPerConnection} topics`;
      this.sockets.refuse(socket, new GatewayError("tooManyTopics", detail), request);
      return;
    }
    const topic = this.topics.find(request.topic);
    const queued = this.#waiting.has(socket, request.topic);
    if (topic && !queued && !isAhead(request, topic)) {
      this.#join(socket, topic, request);
    } else if (this.#waiting.count(socket) >= maxTopicsPerConnection + MAX_REPEATED_REQUESTS) {
      const detail = "too many requests of this connection wait for an answer; ask again in a few seconds";
      this.sockets.refuse(socket, new GatewayError("hubUnavailable", detail), request);
    } else {
      const waiting = { request, askedMs: monotonicMs() };
      if (queued) this.#waiting.add(socket, request.topic, [waiting]);
      else this.#wait(socket, topic, [waiting]);
    }
  }

  /** The first request waits for the topic, or for its offset; the others wait behind it. */
  #wait(socket: Socket, topic: Topic | undefined, requests: readonly WaitingRequest[]): void {
    const { request, askedMs } = requests[0]!;
    const waiter = { socket, topic: request.topic };
    this.#waiting.add(socket, request.topic, requests);
    if (topic && request.since) this.topics.waitFor(topic, request.since.offset, waiter, askedMs);
    else this.topics.wait(request.topic, waiter, askedMs);
  }

  #mayFollow(socket: Socket, name: string): boolean {
    const { maxTopicsPerConnection } = this.config;
    const parked = this.parking.topicsOf(socket);
    const follows = (topic: string): boolean => (parked ? parked.has(topic) : socket.isSubscribed(topic));
    let count = parked ? parked.size : socket.getTopics().length;
    const waiting = this.#waiting.topicsOf(socket);
    if (waiting) for (const topic of waiting.keys()) if (!follows(topic)) count += 1;
    return count < maxTopicsPerConnection || follows(name) || waiting?.has(name) === true;
  }

  /** Subscribed and answered in one tick, so that the next publication is the first that the answer does not cover. */
  #join(socket: Socket, topic: Topic, request: SubscribeRequest): void {
    if (this.parking.has(socket)) {
      this.parking.ask(socket, topic, request);
      return;
    }
    const answer = answerTo(topic, request);
    const { message, from, missed = [] } = answer;
    const missedBytes = missed.reduce((sum, { push }) => sum + push.length, 0);
    if (!this.#hasRoom(socket, message.length + missedBytes)) {
      this.parking.ask(socket, topic, request);
      return;
    }
    // False: it is being cut, and must see no push of a topic of which it did not get the answer.
    if (!this.sockets.write(socket, message.whole)) return;
    countRecovery(request, answer);
    // What was pending went before the answer, and may have filled the buffer.
    if (this.parking.has(socket) || !this.#hasRoom(socket, missedBytes)) {
      this.parking.follow(socket, topic.name, from, missed.length > 0);
      return;
    }
    for (const { push } of missed) this.sockets.write(socket, push);
    counters[SLOT.pushes]! += missed.length;
    socket.subscribe(topic.name);
  }

  #hasRoom(socket: Socket, bytes: number): boolean {
    return bytes <= MAX_CHUNK_BYTES && socket.getBufferedAmount() + bytes <= this.config.maxBackpressureBytes;
  }

  /**
   * The hub described a topic, or it came to an offset: everybody who waited for it and is still here joins. `inVain`:
   * the offset did not come in time.
   */
  ready(topic: Topic, waiting: readonly Waiter[], timedOut: boolean): void {
    for (const { socket } of waiting) this.#answerAll(socket, topic, timedOut);
  }

  /** In their order, up to one that must wait for a later offset. */
  #answerAll(socket: Socket, topic: Topic, timedOut: boolean): void {
    const requests = this.#waiting.take(socket, topic.name);
    for (const [index, { request }] of requests.entries()) {
      if (isAhead(request, topic) && !timedOut) {
        this.#wait(socket, topic, requests.slice(index));
        return;
      }
      this.#join(socket, topic, request);
    }
  }

  /**
   * Ends what the socket follows of a topic, and what it has asked of it before: a request that still waits is refused, so
   * that it cannot take effect later. False when there was neither.
   */
  unsubscribe(socket: Socket, name: string): boolean {
    const waiting = this.#waiting.take(socket, name);
    if (waiting.length > 0) this.topics.removeWaiters(name, (waiter) => waiter.socket === socket);
    const unanswered = [...this.parking.cancel(socket, name), ...waiting.map(({ request }) => request)];
    for (const request of unanswered) this.sockets.refuse(socket, new GatewayError("unsubscribed"), request);
    const isFollowed = this.parking.has(socket) ? this.parking.unsubscribe(socket, name) : socket.unsubscribe(name);
    return isFollowed || unanswered.length > 0;
  }

  /** Everything that this worker knew of a topic is void: each subscriber is told what holds now. */
  reset(topic: Topic, publish: (message: Uint8Array) => void): void {
    const { message, place } = resetOf(topic);
    // Parked sockets find out by their place. A large event must not go to all in one tick: they are parked for it.
    if (message.length < PUBLISHED_AT_ONCE_BYTES) {
      this.topics.journal.record(topic.name, { ...place, epoch: VOID_EPOCH });
      publish(message.whole);
      return;
    }
    for (const socket of this.sockets.open()) {
      if (socket.isSubscribed(topic.name)) this.parking.follow(socket, topic.name, { ...place, epoch: VOID_EPOCH });
    }
  }

  /** The topic cannot be had now: the hub did not describe it in time, or serves no further unpublished name. */
  failed(name: string, waiting: readonly Waiter[], why: FollowFailure): void {
    const kind = why === "refused" ? "namesFull" : "hubUnavailable";
    const error = new GatewayError(kind, `topic ${name}: ${ERRORS[kind].text}`);
    for (const { socket } of waiting) {
      for (const { request } of this.#waiting.take(socket, name)) this.sockets.refuse(socket, error, request);
    }
  }

  closed(socket: Socket): void {
    this.#waiting.closed(socket);
  }
}

/** A socket that waits for a topic. */
export interface Waiter {
  readonly socket: Socket;
  readonly topic: string;
}

export interface WaitingRequest {
  readonly request: SubscribeRequest;
  /** Monotonic milliseconds. */
  readonly askedMs: number;
}

type Queues = Map<string, readonly WaitingRequest[]>;

export class Waiting {
  readonly #sockets = new Map<Socket, Queues>();

  /** The topics that the socket waits for. */
  topicsOf(socket: Socket): ReadonlyMap<string, readonly WaitingRequest[]> | undefined {
    return this.#sockets.size === 0 ? undefined : this.#sockets.get(socket);
  }

  has(socket: Socket, topic: string): boolean {
    return this.topicsOf(socket)?.has(topic) === true;
  }

  /** How many requests of the socket wait, over all topics. */
  count(socket: Socket): number {
    let count = 0;
    for (const queue of this.topicsOf(socket)?.values() ?? []) count += queue.length;
    return count;
  }

  add(socket: Socket, topic: string, requests: readonly WaitingRequest[]): void {
    const queues: Queues = this.#sockets.get(socket) ?? new Map<string, readonly WaitingRequest[]>();
    queues.set(topic, [...(queues.get(topic) ?? []), ...requests]);
    this.#sockets.set(socket, queues);
  }

  /** Removes and returns those of a topic; none if the socket closed or unsubscribed meanwhile. */
  take(socket: Socket, topic: string): readonly WaitingRequest[] {
    const queues = this.#sockets.get(socket);
    const requests = queues?.get(topic) ?? [];
    queues?.delete(topic);
    if (queues?.size === 0) this.#sockets.delete(socket);
    return requests;
  }

  closed(socket: Socket): void {
    if (this.#sockets.size > 0) this.#sockets.delete(socket);
  }
}
