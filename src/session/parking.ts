/**
 * Sockets that cannot take everything at once: a large answer, or many missed pushes. A parked socket has no native
 * subscription, but a cursor for each of its topics over this worker's replica; it is sent a portion at a time, paced by
 * `drain`, and becomes live again in the tick in which it has caught up, so that there is no gap and no duplicate.
 * A large answer goes as fragments of one shared buffer: memory is bounded by the portion, not by the answer. Only parked
 * sockets cost bookkeeping.
 */
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { Position } from "../topics/publication.js";
import type { Topic } from "../topics/topics.js";
import type { Socket } from "./socket.js";

/** Bytes of one fragment, and of one portion of missed pushes. */
export const PORTION_BYTES = 16_384;
/** Bytes that one socket is sent in one turn at most, so that thousands of snapshots share the loop. */
const TURN_BYTES = 65_536;

interface Answer {
  readonly topic: Topic;
  readonly bytes: Buffer;
}

interface Parked {
  readonly cursors: Map<string, Position>;
  readonly answers: Answer[];
  /** The answer that is being sent in fragments, and how far. */
  sending: { answer: Answer; at: number } | undefined;
  /** Replies to the client's own requests that came between fragments. */
  readonly replies: Uint8Array[];
  replyBytes: number;
}

export interface ParkingSurroundings {
  find(topic: string): Topic | undefined;
  resetEvent(topic: Topic): Buffer;
  /** The last parked socket of the topic is gone or live again. */
  emptied(topic: string): void;
  /** The socket asks for more than it reads: it is to be cut in the next turn. */
  tooSlow(socket: Socket): void;
}

export class Parking {
  readonly #parked = new Map<Socket, Parked>();
  /** Parked sockets of each topic: they are its subscribers too. */
  readonly #counts = new Map<string, number>();
  #ready = new Set<Socket>();

  constructor(
    private readonly around: ParkingSurroundings,
    private readonly maxBufferedBytes: number,
  ) {}

  has(socket: Socket): boolean {
    return this.#parked.size > 0 && this.#parked.has(socket);
  }

  /** How many parked sockets follow the topic. */
  count(topic: string): number {
    return this.#counts.get(topic) ?? 0;
  }

  topicsOf(socket: Socket): ReadonlyMap<string, Position> | undefined {
    return this.#parked.get(socket)?.cursors;
  }

  /** Sends an answer, of any size, and then whatever the topic has after `then`, where the answer leaves the socket. */
  park(socket: Socket, topic: Topic, bytes: Buffer, then: Position): void {
    const parked = this.#parked.get(socket) ?? this.#enter(socket);
    parked.answers.push({ topic, bytes });
    this.#follow(parked, topic.name, then);
    this.#schedule(socket);
  }

  #enter(socket: Socket): Parked {
    const parked: Parked = { cursors: new Map(), answers: [], sending: undefined, replies: [], replyBytes: 0 };
    this.#parked.set(socket, parked);
    for (const name of socket.getTopics()) {
      const topic = this.around.find(name);
      // Everything up to here has been handed to the socket: the native tree flushes it before the next send.
      if (topic) this.#follow(parked, name, { epoch: topic.epoch, offset: topic.offset });
      socket.unsubscribe(name);
    }
    counters[SLOT.parked]! += 1;
    return parked;
  }

  #follow(parked: Parked, name: string, position: Position): void {
    if (!parked.cursors.has(name)) {
      this.#counts.set(name, this.count(name) + 1);
      counters[SLOT.subscriptions]! += 1;
    }
    parked.cursors.set(name, position);
  }

  #unfollow(parked: Parked, name: string): boolean {
    if (!parked.cursors.delete(name)) return false;
    const count = this.count(name) - 1;
    if (count === 0) {
      this.#counts.delete(name);
      this.around.emptied(name);
    } else this.#counts.set(name, count);
    counters[SLOT.subscriptions]! -= 1;
    return true;
  }

  /** A reply to the client's own request; it waits where it would fall between fragments. */
  reply(socket: Socket, bytes: Uint8Array): void {
    const parked = this.#parked.get(socket)!;
    if (parked.sending === undefined) {
      socket.send(bytes, false);
      return;
    }
    parked.replies.push(bytes);
    parked.replyBytes += bytes.length;
    if (parked.replyBytes > this.maxBufferedBytes) this.around.tooSlow(socket);
  }

  unsubscribe(socket: Socket, name: string): boolean {
    const parked = this.#parked.get(socket)!;
    const waiting = parked.answers.findIndex(({ topic }) => topic.name === name);
    if (waiting >= 0) parked.answers.splice(waiting, 1);
    return this.#unfollow(parked, name);
  }

  closed(socket: Socket): void {
    const parked = this.#parked.get(socket);
    if (!parked) return;
    for (const name of [...parked.cursors.keys()]) this.#unfollow(parked, name);
    this.#parked.delete(socket);
    this.#ready.delete(socket);
    counters[SLOT.parked]! -= 1;
  }

  /** Between fragments a frame of ours would break the connection; a close frame may still be sent. */
  midway(socket: Socket): boolean {
    return this.#parked.get(socket)?.sending !== undefined;
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
    while (socket.getBufferedAmount() < this.maxBufferedBytes / 2) {
      if (sent >= TURN_BYTES) {
        this.#schedule(socket);
        return;
      }
      const portion = this.#portion(socket, parked);
      if (portion === 0) {
        this.#leave(socket, parked);
        return;
      }
      sent += portion;
    }
    // Full: `drain` comes when it has been read, and a reader that never reads is closed by the idle timeout.
  }

  /** One fragment, one answer, or some missed pushes. Returns bytes; 0 when there is nothing left to send. */
  #portion(socket: Socket, parked: Parked): number {
    if (parked.sending) return this.#fragment(socket, parked, parked.sending);
    const answer = parked.answers.shift();
    if (answer) return this.#begin(socket, parked, answer);
    for (const [name, cursor] of parked.cursors) {
      const topic = this.around.find(name);
      if (!topic || (cursor.epoch === topic.epoch && cursor.offset === topic.offset)) continue;
      return this.#missed(socket, parked, topic, cursor);
    }
    return 0;
  }

  #begin(socket: Socket, parked: Parked, answer: Answer): number {
    if (answer.bytes.length <= PORTION_BYTES) {
      this.#send(socket, answer.bytes);
      return answer.bytes.length;
    }
    parked.sending = { answer, at: PORTION_BYTES };
    socket.sendFirstFragment(answer.bytes.subarray(0, PORTION_BYTES), false);
    return PORTION_BYTES;
  }

  #fragment(socket: Socket, parked: Parked, sending: { answer: Answer; at: number }): number {
    const { bytes } = sending.answer;
    const portion = bytes.subarray(sending.at, sending.at + PORTION_BYTES);
    sending.at += portion.length;
    if (sending.at < bytes.length) {
      socket.sendFragment(portion, false);
      return portion.length;
    }
    socket.sendLastFragment(portion, false);
    counters[SLOT.messagesOut]! += 1;
    counters[SLOT.bytesOut]! += bytes.length;
    parked.sending = undefined;
    for (const reply of parked.replies.splice(0)) socket.send(reply, false);
    parked.replyBytes = 0;
    return portion.length;
  }

  #missed(socket: Socket, parked: Parked, topic: Topic, cursor: Position): number {
    const { name, epoch, offset, memory } = topic;
    const missed = cursor.epoch === epoch ? memory.since(cursor.offset, offset, Date.now()) : undefined;
    if (!missed) {
      parked.cursors.set(name, { epoch, offset });
      return this.#begin(socket, parked, { topic, bytes: this.around.resetEvent(topic) });
    }
    let sent = 0;
    for (const { offset: at, push } of missed) {
      if (sent > 0 && sent + push.length > PORTION_BYTES) break;
      this.#send(socket, push);
      counters[SLOT.pushes]! += 1;
      parked.cursors.set(name, { epoch, offset: at });
      sent += push.length;
    }
    return sent;
  }

  #send(socket: Socket, bytes: Uint8Array): void {
    counters[SLOT.messagesOut]! += 1;
    counters[SLOT.bytesOut]! += bytes.length;
    socket.send(bytes, false);
  }

  /** Caught up with every topic: live again, in this very tick. */
  #leave(socket: Socket, parked: Parked): void {
    const names = [...parked.cursors.keys()];
    this.closed(socket);
    for (const name of names) socket.subscribe(name);
  }
}
