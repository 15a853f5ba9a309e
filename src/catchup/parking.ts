/**
 * Sockets that cannot take everything at once: a large answer, many missed pushes, or a buffer that was full when a push
 * came. A parked socket has no native subscription, but a place for each of its topics in this worker's replica; it is sent
 * a portion at a time, paced by `drain`, and becomes live again in the tick in which it has caught up, so that there is no
 * gap and no duplicate. A large answer is made when its turn comes and goes as fragments of one shared buffer: memory is
 * bounded by the portion, not by the answer. Only parked sockets cost bookkeeping.
 */
import { monotonicMs } from "../clock.js";
import { SLOT, type UnsentReason } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { SubscribeRequest } from "../protocol/messages.js";
import { MAX_CHUNK_BYTES, SharedMessage } from "../protocol/shared-message.js";
import type { Socket } from "../protocol/socket.js";
import { type Handed, type Place, VOID_EPOCH } from "../topics/journal.js";
import { placeOf, type Topic } from "../topics/topics.js";
import { answerTo, countRecovery } from "./answers.js";
import { Outbox } from "./outbox.js";
import { Places, type PlacesOfOne } from "./positions.js";
import { behind, countUndelivered, isBehind, stepsFrom, type Undelivered } from "./steps.js";

/** Bytes that one socket is sent in one turn at most, so that thousands of snapshots share the loop. */
const TURN_BYTES = 65_536;

interface Parked {
  readonly places: PlacesOfOne;
  readonly outbox: Outbox;
  /** When its buffer was found full; undefined where it is parked at its own wish. */
  slowSinceMs: number | undefined;
  /** For how long no portion could be sent. */
  stalledMs: number;
  /** The topic of which an answer promised the missed pushes: they come before the next answer. */
  recovering: string | undefined;
}

export interface ParkingDeps {
  find(topic: string): Topic | undefined;
  /** The last parked socket of the topic is gone or live again. */
  emptied(topic: string): void;
  /** The socket asks for more than it reads, or missed what nobody remembers: it is to be cut in the next turn. */
  scheduleDisconnect(socket: Socket): void;
  /** A request whose topic is not here any more now that its turn has come. */
  askAgain(socket: Socket, request: SubscribeRequest): void;
}

export class Parking {
  readonly #parked = new Map<Socket, Parked>();
  readonly #places: Places;
  #ready = new Set<Socket>();

  constructor(
    private readonly deps: ParkingDeps,
    private readonly maxBufferedBytes: number,
  ) {
    this.#places = new Places((topic) => deps.emptied(topic));
  }

  has(socket: Socket): boolean {
    return this.#parked.size > 0 && this.#parked.has(socket);
  }

  /** How many parked sockets follow the topic. */
  count(topic: string): number {
    return this.#places.count(topic);
  }

  topicsOf(socket: Socket): ReadonlyMap<string, Place> | undefined {
    return this.#parked.get(socket)?.places;
  }

  /** The request is answered when its turn comes; the topic is followed from now on, so that it stays here. */
  ask(socket: Socket, topic: Topic, request: SubscribeRequest): void {
    const parked = this.#parked.get(socket) ?? this.#enter(socket);
    if (!parked.places.has(topic.name)) this.#places.follow(parked.places, topic.name, placeOf(topic));
    parked.outbox.ask(request);
    if (parked.outbox.requestBytes > this.maxBufferedBytes) this.deps.scheduleDisconnect(socket);
    this.#schedule(socket);
  }

  /** Sends whatever the topic has after the place; `isPromised`: before the answer to any other request. */
  follow(socket: Socket, topic: string, place: Place, isPromised = false): void {
    const parked = this.#parked.get(socket) ?? this.#enter(socket);
    this.#places.follow(parked.places, topic, place);
    if (isPromised) parked.recovering = topic;
    this.#schedule(socket);
  }

  /** Its buffer was full: `lost` was not handed over, beginning with the first. It goes on with `drain`. */
  overflowed(socket: Socket, lost: readonly Handed[]): void {
    const parked = this.#parked.get(socket) ?? this.#enter(socket);
    this.#markSlow(parked, monotonicMs());
    for (const [name, place] of parked.places) {
      const first = lost.find((each) => each.name === name)?.before;
      if (first && (first.epoch === VOID_EPOCH || first.messages < place.messages)) parked.places.set(name, first);
    }
  }

  /** A parked socket takes nothing, and counts as slow from then on. */
  markSlow(socket: Socket, sinceMs: number): void {
    this.#markSlow(this.#parked.get(socket)!, sinceMs);
  }

  #markSlow(parked: Parked, sinceMs: number): void {
    if (parked.slowSinceMs !== undefined) return;
    counters[SLOT.slowReaders]! += 1;
    parked.slowSinceMs = sinceMs;
  }

  /** Unsubscribing makes the native tree send what is pending, which may overflow: every place is known before. */
  #enter(socket: Socket): Parked {
    const outbox = new Outbox(socket);
    const parked: Parked = { places: new Map(), outbox, slowSinceMs: undefined, stalledMs: 0, recovering: undefined };
    this.#parked.set(socket, parked);
    counters[SLOT.parked]! += 1;
    const names = socket.getTopics();
    for (const name of names) {
      const topic = this.deps.find(name);
      if (topic) this.#places.follow(parked.places, name, placeOf(topic));
    }
    for (const name of names) socket.unsubscribe(name);
    return parked;
  }

  /** A reply to the client's own request; it waits where it would fall between fragments, or into a full buffer. */
  reply(socket: Socket, bytes: Uint8Array): void {
    const { outbox } = this.#parked.get(socket)!;
    if (!outbox.midway && outbox.replyBytes === 0 && this.#hasRoom(socket)) {
      outbox.send(bytes);
      return;
    }
    outbox.reply(bytes);
    if (outbox.replyBytes > this.maxBufferedBytes) this.deps.scheduleDisconnect(socket);
  }

  #hasRoom(socket: Socket): boolean {
    return socket.getBufferedAmount() < this.maxBufferedBytes / 2;
  }

  /** Removes and returns the requests of a topic that are not answered yet. */
  cancel(socket: Socket, topic: string): readonly SubscribeRequest[] {
    return this.#parked.get(socket)?.outbox.cancel(topic) ?? [];
  }

  /** Of a parked socket. False when it did not follow the topic. */
  unsubscribe(socket: Socket, name: string): boolean {
    const parked = this.#parked.get(socket)!;
    if (parked.recovering === name) parked.recovering = undefined;
    this.#accountFor(parked, name, "closed");
    return this.#places.unfollow(parked.places, name);
  }

  /** The connection ends; what it did not get is accounted for under the reason. */
  closed(socket: Socket, reason: UnsentReason): void {
    const parked = this.#parked.get(socket);
    if (!parked) return;
    for (const name of parked.places.keys()) this.#accountFor(parked, name, reason);
    if (reason === "disconnect") countUndelivered("answer", parked.outbox.owed);
    this.#remove(socket, parked);
  }

  #accountFor({ places, slowSinceMs }: Parked, name: string, reason: UnsentReason): void {
    const place = places.get(name);
    const topic = this.deps.find(name);
    if (slowSinceMs !== undefined && place && topic) countUndelivered(reason, behind(topic, place));
  }

  #remove(socket: Socket, parked: Parked): void {
    for (const name of [...parked.places.keys()]) this.#places.unfollow(parked.places, name);
    this.#parked.delete(socket);
    this.#ready.delete(socket);
    counters[SLOT.parked]! -= 1;
    if (parked.slowSinceMs !== undefined) counters[SLOT.slowReaders]! -= 1;
  }

  /** What a parked socket has not got yet, over all its topics. */
  unsent(socket: Socket): Undelivered {
    const sum = { messages: 0, bytes: 0 };
    for (const [name, place] of this.topicsOf(socket) ?? []) {
      const topic = this.deps.find(name);
      if (!topic) continue;
      const { messages, bytes } = behind(topic, place);
      sum.messages += messages;
      sum.bytes += bytes;
    }
    return sum;
  }

  slowSinceMs(socket: Socket): number | undefined {
    return this.#parked.get(socket)?.slowSinceMs;
  }

  /** Sockets whose buffer was full, and since when. */
  *slow(): Generator<{ socket: Socket; sinceMs: number }> {
    for (const [socket, { slowSinceMs: sinceMs }] of this.#parked) if (sinceMs !== undefined) yield { socket, sinceMs };
  }

  /** Whether the topic's next message is the answer to a request. */
  waitsFor(socket: Socket, topic: string): boolean {
    return this.#parked.get(socket)?.outbox.waitsFor(topic) === true;
  }

  /** Sockets that take nothing, for how long now that `elapsedMs` have passed, and whether an answer is held for them. */
  *stalled(elapsedMs: number): Generator<{ socket: Socket; stalledMs: number; isOwed: boolean }> {
    for (const [socket, parked] of this.#parked) {
      // It waits for us. Room alone does not say so: what did not fit may be less than what has no room, and waits for `drain`.
      if (this.#ready.has(socket) && this.#hasRoom(socket)) continue;
      parked.stalledMs += elapsedMs;
      yield { socket, stalledMs: parked.stalledMs, isOwed: parked.outbox.owed.messages > 0 };
    }
  }

  /** Between fragments a frame of ours would break the connection; a close frame may still be sent. */
  midway(socket: Socket): boolean {
    return this.#parked.get(socket)?.outbox.midway === true;
  }

  drained(socket: Socket): void {
    if (this.has(socket)) this.#schedule(socket);
  }

  #schedule(socket: Socket): void {
    if (this.#ready.size === 0) setImmediate(() => this.#turn());
    this.#ready.add(socket);
  }

  #turn(): void {
    const ready = this.#ready;
    this.#ready = new Set();
    for (const socket of ready) {
      const parked = this.#parked.get(socket);
      if (parked) socket.cork(() => this.#advance(socket, parked));
    }
  }

  /** Sends until the socket is full, the turn is used up, or everything is sent. */
  #advance(socket: Socket, parked: Parked): void {
    let sent = 0;
    while (this.#hasRoom(socket)) {
      if (sent >= TURN_BYTES) {
        this.#schedule(socket);
        return;
      }
      const chunk = this.#chunk(socket, parked);
      if (chunk === undefined) {
        this.deps.scheduleDisconnect(socket);
        return;
      }
      if (chunk === 0) {
        this.#leave(socket, parked);
        return;
      }
      sent += chunk;
      parked.stalledMs = 0;
    }
    // Full: `drain` comes when it has been read, and a reader that never reads is found by `stalled`.
  }

  /**
   * What is on its way, then pushes that were promised, answers, and other missed pushes. Returns bytes; 0 when nothing is
   * left, undefined when it must go.
   */
  #chunk(socket: Socket, parked: Parked): number | undefined {
    const { outbox, places, recovering } = parked;
    const waiting = outbox.chunk();
    if (waiting > 0) return waiting;
    if (recovering !== undefined) {
      const topic = this.#behind(recovering, places.get(recovering));
      if (topic) return this.#catchUp(socket, parked, topic);
      parked.recovering = undefined;
    }
    const request = outbox.nextRequest();
    if (request) return this.#answer(socket, parked, request);
    for (const [name, place] of places) {
      const topic = this.#behind(name, place);
      if (topic) return this.#catchUp(socket, parked, topic);
    }
    return 0;
  }

  /** The topic, if it has something for a socket at that place. */
  #behind(name: string, place: Place | undefined): Topic | undefined {
    const topic = this.deps.find(name);
    return topic && place && isBehind(topic, place) ? topic : undefined;
  }

  #answer(socket: Socket, parked: Parked, request: SubscribeRequest): number | undefined {
    const topic = this.deps.find(request.topic);
    if (!topic) {
      this.deps.askAgain(socket, request);
      return this.#chunk(socket, parked);
    }
    const answer = answerTo(topic, request);
    countRecovery(request, answer);
    parked.places.set(topic.name, answer.from);
    if (answer.missed) parked.recovering = topic.name;
    return parked.outbox.share(answer.message);
  }

  /** A portion at most, and only while there is room: a message that did not fit would be lost. */
  #catchUp(socket: Socket, parked: Parked, topic: Topic): number | undefined {
    const { outbox } = parked;
    const steps = stepsFrom(topic, parked.places.get(topic.name)!, parked.slowSinceMs !== undefined);
    if (!steps) return undefined;
    let sent = 0;
    for (const { message, isPush, place, unsent } of steps) {
      parked.places.set(topic.name, place);
      if (unsent) countUndelivered(unsent.reason, unsent);
      if (isPush) counters[SLOT.pushes]! += 1;
      sent += message instanceof SharedMessage ? outbox.share(message) : outbox.send(message);
      if (sent >= MAX_CHUNK_BYTES || !this.#hasRoom(socket)) break;
    }
    return sent;
  }

  /** Caught up with every topic: live again, in this very tick. */
  #leave(socket: Socket, parked: Parked): void {
    const names = [...parked.places.keys()];
    if (parked.slowSinceMs !== undefined) counters[SLOT.slowReadersCaughtUp]! += 1;
    this.#remove(socket, parked);
    for (const name of names) socket.subscribe(name);
  }
}
