/**
 * Subscriptions of sockets. A request is answered and the socket subscribed in one turn, so that the next publication is the
 * first that the answer does not cover. A request waits where the worker does not have the topic yet, or has not reached the
 * offset that the client has seen. Requests of one connection about one topic take effect in their order, and each is
 * answered once. Worker only.
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
import { MIN_UNBATCHED_BYTES, type Socket } from "../protocol/socket.js";
import { VOID_EPOCH } from "../topics/journal.js";
import type { FollowFailure, Topic, Topics } from "../topics/topics.js";

/** The open sockets, and how to answer them. */
export interface OpenSockets {
  open(): Iterable<Socket>;
  /** Sends at once. False where the buffer was full and the message was dropped. */
  write(socket: Socket, message: Uint8Array): boolean;
  refuse(socket: Socket, error: GatewayError, request: SubscribeRequest): void;
}

/** Waiting requests that one connection may have, in addition to one for each topic that it may follow. */
const MAX_REPEATED_REQUESTS = 32;

export interface SubscriptionsOptions {
  readonly topics: Pick<Topics<Waiter>, "find" | "wait" | "waitFor" | "removeWaiters" | "journal">;
  readonly parking: Parking;
  readonly config: Pick<ServeConfig, "maxTopicsPerConnection" | "maxBackpressureBytes">;
  readonly sockets: OpenSockets;
}

export class Subscriptions {
  readonly #topics: SubscriptionsOptions["topics"];
  readonly #parking: Parking;
  readonly #config: SubscriptionsOptions["config"];
  readonly #sockets: OpenSockets;
  readonly #waiting = new WaitingRequests();

  constructor({ topics, parking, config, sockets }: SubscriptionsOptions) {
    this.#topics = topics;
    this.#parking = parking;
    this.#config = config;
    this.#sockets = sockets;
  }

  /** Answered at once where the worker has the topic, else when the hub has sent it. */
  subscribe(socket: Socket, request: SubscribeRequest): void {
    // First, so that neither an answer nor its delay tells whether a topic that is refused exists.
    if (!isAllowed(socket, request)) {
      this.#sockets.refuse(socket, new GatewayError("topicRefused"), request);
      return;
    }
    const { maxTopicsPerConnection } = this.#config;
    if (!this.#mayFollow(socket, request.topic)) {
      const detail = `one connection may follow ${maxTopicsPerConnection} topics`;
      this.#sockets.refuse(socket, new GatewayError("tooManyTopics", detail), request);
      return;
    }
    const topic = this.#topics.find(request.topic);
    const queued = this.#waiting.has(socket, request.topic);
    if (topic && !queued && !isAhead(request, topic)) {
      this.#join(socket, topic, request);
    } else if (this.#waiting.count(socket) >= maxTopicsPerConnection + MAX_REPEATED_REQUESTS) {
      const detail = "too many requests of this connection wait for an answer; ask again in a few seconds";
      this.#sockets.refuse(socket, new GatewayError("hubUnavailable", detail), request);
    } else {
      const waiting = { request, askedMs: monotonicMs() };
      if (queued) this.#waiting.add(socket, request.topic, [waiting]);
      else this.#wait(socket, topic, [waiting]);
    }
  }

  /** The first request waits for the topic, or for its offset; the others wait until it is answered. */
  #wait(socket: Socket, topic: Topic | undefined, requests: readonly WaitingRequest[]): void {
    const { request, askedMs } = requests[0]!;
    const waiter = { socket, topic: request.topic };
    this.#waiting.add(socket, request.topic, requests);
    if (topic && request.since) this.#topics.waitFor(topic, { waiter, offset: request.since.offset, sinceMs: askedMs });
    else this.#topics.wait(request.topic, waiter, askedMs);
  }

  #mayFollow(socket: Socket, name: string): boolean {
    const { maxTopicsPerConnection } = this.#config;
    const parked = this.#parking.topicsOf(socket);
    const follows = (topic: string): boolean => (parked ? parked.has(topic) : socket.isSubscribed(topic));
    let count = parked ? parked.size : socket.getTopics().length;
    const waiting = this.#waiting.topicsOf(socket);
    if (waiting) for (const topic of waiting.keys()) if (!follows(topic)) count += 1;
    return count < maxTopicsPerConnection || follows(name) || waiting?.has(name) === true;
  }

  /** Answers and subscribes in one turn, so that the next publication is the first that the answer does not cover. */
  #join(socket: Socket, topic: Topic, request: SubscribeRequest): void {
    if (this.#parking.has(socket)) {
      this.#parking.ask(socket, topic, request);
      return;
    }
    const answer = answerTo(topic, request);
    const { message, from, missed = [] } = answer;
    const missedBytes = missed.reduce((sum, { push }) => sum + push.length, 0);
    if (!this.#fits(socket, message.length + missedBytes)) {
      this.#parking.ask(socket, topic, request);
      return;
    }
    // False: the socket is about to be disconnected, and must see no push of a topic without its answer.
    if (!this.#sockets.write(socket, message.whole)) return;
    countRecovery(request, answer);
    // Pending publications were sent before the answer, and may have filled the buffer.
    if (this.#parking.has(socket) || !this.#fits(socket, missedBytes)) {
      this.#parking.follow(socket, { topic: topic.name, from, isPromised: missed.length > 0 });
      return;
    }
    for (const { push } of missed) this.#sockets.write(socket, push);
    counters[SLOT.pushes]! += missed.length;
    socket.subscribe(topic.name);
  }

  #fits(socket: Socket, bytes: number): boolean {
    return bytes <= MAX_CHUNK_BYTES && socket.getBufferedAmount() + bytes <= this.#config.maxBackpressureBytes;
  }

  /**
   * A topic arrived from the hub, or reached an offset: answers all requests that waited for it. `timedOut`: the offset was not
   * reached in time.
   */
  ready(topic: Topic, waiting: readonly Waiter[], timedOut: boolean): void {
    for (const { socket } of waiting) this.#answerAll(socket, topic, timedOut);
  }

  /** Answers the socket's requests in their order, up to one that must wait for a later offset. */
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
   * Unsubscribes the socket and refuses its requests about the topic that still wait, so that they cannot take effect later.
   * False when there was no subscription and no such request.
   */
  unsubscribe(socket: Socket, name: string): boolean {
    const waiting = this.#waiting.take(socket, name);
    if (waiting.length > 0) this.#topics.removeWaiters(name, (waiter) => waiter.socket === socket);
    const unanswered = [...this.#parking.cancel(socket, name), ...waiting.map(({ request }) => request)];
    for (const request of unanswered) this.#sockets.refuse(socket, new GatewayError("unsubscribed"), request);
    const wasSubscribed = this.#parking.has(socket)
      ? this.#parking.unsubscribe(socket, name)
      : socket.unsubscribe(name);
    return wasSubscribed || unanswered.length > 0;
  }

  /** The topic was replaced as a whole: every subscriber gets the new state. */
  reset(topic: Topic, publish: (message: Uint8Array) => void): void {
    const { message, cursor } = resetOf(topic);
    // Parked sockets notice by their cursor. A large event must not go to all sockets in one turn: they are parked for it.
    if (message.length < MIN_UNBATCHED_BYTES) {
      this.#topics.journal.record(topic.name, { ...cursor, epoch: VOID_EPOCH });
      publish(message.whole);
      return;
    }
    const from = { ...cursor, epoch: VOID_EPOCH };
    for (const socket of this.#sockets.open()) {
      if (socket.isSubscribed(topic.name)) this.#parking.follow(socket, { topic: topic.name, from });
    }
  }

  /** The hub did not send the topic in time, or refused it: it serves no further names that nobody has published to. */
  failed(name: string, waiting: readonly Waiter[], why: FollowFailure): void {
    const kind = why === "refused" ? "namesFull" : "hubUnavailable";
    const error = new GatewayError(kind, `topic ${name}: ${ERRORS[kind].text}`);
    for (const { socket } of waiting) {
      for (const { request } of this.#waiting.take(socket, name)) this.#sockets.refuse(socket, error, request);
    }
  }

  closed(socket: Socket): void {
    this.#waiting.closed(socket);
  }
}

/** The one place where it is asked whether a client may follow a topic: Subscribe, Query and topics of the URL come here. */
function isAllowed(socket: Socket, { action, topic }: SubscribeRequest): boolean {
  const { grant, sub } = socket.getUserData();
  return grant === undefined || grant.allows(action === undefined ? "subscribe" : "query", topic, sub);
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

/** Requests that wait, by socket and topic. Costs nothing for sockets without any. */
export class WaitingRequests {
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

  /** Removes and returns the requests about a topic; none if the socket closed or unsubscribed meanwhile. */
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
