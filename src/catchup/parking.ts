/**
 * Sockets that cannot take everything at once: a large answer, many missed pushes, or a buffer that was full when a push
 * came. A parked socket has no native subscriptions, but a cursor for each of its topics over this worker's replica. It is
 * sent one chunk at a time, paced by `drain`, and becomes live again in the turn in which it has caught up: no gap, no
 * duplicate. A large answer is made only when it can be sent, as fragments of one shared buffer, so memory is bounded by the
 * chunk and not by the answer. Only parked sockets cost bookkeeping. Worker only.
 */
import { monotonicMs } from "../clock.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { UnsentReason } from "../metrics/reasons.js";
import type { SubscribeRequest } from "../protocol/messages.js";
import { MAX_CHUNK_BYTES, SharedMessage } from "../protocol/shared-message.js";
import type { Socket } from "../protocol/socket.js";
import { type Cursor, type JournalEntry, VOID_EPOCH } from "../topics/journal.js";
import { cursorOf, type Topic } from "../topics/topics.js";
import { answerTo, countRecovery } from "./answers.js";
import { ParkedSubscriptions, type SocketCursors } from "./cursors.js";
import { Outbox } from "./outbox.js";
import { countUndelivered, isBehind, stepsFrom, type Undelivered, undeliveredAfter } from "./steps.js";

/** Maximum bytes to one socket in one turn of the loop, so that thousands of answers share the loop. */
const MAX_TURN_BYTES = 65_536;
/**
 * Maximum time for all sockets in one turn, so that pushes to live sockets are not delayed: 5,100 clients that asked for 2 MB
 * each in one moment delayed the pushes to 9,900 others by a second.
 */
const MAX_TURN_MS = 10;

interface ParkedSocket {
  readonly cursors: SocketCursors;
  readonly outbox: Outbox;
  /** Since when it counts as slow; undefined where it is parked for a large answer or a recovery only. */
  slowSinceMs: number | undefined;
  /** How long it has taken nothing, in milliseconds. */
  stalledMs: number;
  /** The topic whose answer said `recovered: true`: its missed pushes are sent before any other answer. */
  recovering: string | undefined;
}

export interface ParkingDeps {
  find(topic: string): Topic | undefined;
  /** The last parked subscriber of the topic is gone or live again. */
  emptied(topic: string): void;
  /** The socket asks for more than it reads, or missed what is no longer remembered: disconnect it in the next turn. */
  scheduleDisconnect(socket: Socket): void;
  /** A queued request whose topic is no longer on this worker. */
  askAgain(socket: Socket, request: SubscribeRequest): void;
}

export interface ParkingOptions {
  readonly deps: ParkingDeps;
  /** Limit of a socket's buffer, of its queued replies and of its queued requests, each. */
  readonly maxBufferedBytes: number;
}

/** Where a parked socket continues in a topic; `isPromised`: before the answer to any other request. */
export interface CatchUp {
  readonly topic: string;
  readonly from: Cursor;
  readonly isPromised?: boolean;
}

export class Parking {
  readonly #deps: ParkingDeps;
  readonly #maxBufferedBytes: number;
  readonly #parked = new Map<Socket, ParkedSocket>();
  readonly #subscriptions: ParkedSubscriptions;
  /** Sockets that are sent something in the next turn. */
  readonly #ready = new Set<Socket>();
  #isScheduled = false;

  constructor({ deps, maxBufferedBytes }: ParkingOptions) {
    this.#deps = deps;
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#subscriptions = new ParkedSubscriptions((topic) => deps.emptied(topic));
  }

  has(socket: Socket): boolean {
    return this.#parked.size > 0 && this.#parked.has(socket);
  }

  /** How many parked sockets follow the topic. */
  count(topic: string): number {
    return this.#subscriptions.count(topic);
  }

  topicsOf(socket: Socket): ReadonlyMap<string, Cursor> | undefined {
    return this.#parked.get(socket)?.cursors;
  }

  /** Queues a request. The socket follows the topic from now on, so that the worker keeps it. */
  ask(socket: Socket, topic: Topic, request: SubscribeRequest): void {
    const parked = this.#parked.get(socket) ?? this.#park(socket);
    if (!parked.cursors.has(topic.name)) this.#subscriptions.set(parked.cursors, topic.name, cursorOf(topic));
    parked.outbox.ask(request);
    if (parked.outbox.requestBytes > this.#maxBufferedBytes) this.#deps.scheduleDisconnect(socket);
    this.#schedule(socket);
  }

  /** Sends the socket everything of the topic after the cursor. */
  follow(socket: Socket, { topic, from, isPromised = false }: CatchUp): void {
    const parked = this.#parked.get(socket) ?? this.#park(socket);
    this.#subscriptions.set(parked.cursors, topic, from);
    if (isPromised) parked.recovering = topic;
    this.#schedule(socket);
  }

  /** The socket's buffer was full and `lost` were not sent to it, the first one first. It continues with `drain`. */
  overflowed(socket: Socket, lost: readonly JournalEntry[]): void {
    const parked = this.#parked.get(socket) ?? this.#park(socket);
    this.#markSlow(parked, monotonicMs());
    for (const [name, cursor] of parked.cursors) {
      const first = lost.find((each) => each.name === name)?.before;
      if (first && (first.epoch === VOID_EPOCH || first.messages < cursor.messages)) parked.cursors.set(name, first);
    }
  }

  /** A parked socket takes nothing, and counts as slow since then. */
  markSlow(socket: Socket, sinceMs: number): void {
    this.#markSlow(this.#parked.get(socket)!, sinceMs);
  }

  #markSlow(parked: ParkedSocket, sinceMs: number): void {
    if (parked.slowSinceMs !== undefined) return;
    counters[SLOT.slowReaders]! += 1;
    parked.slowSinceMs = sinceMs;
  }

  /** Sets all cursors before the first `unsubscribe`: it flushes pending messages, and that may fill the buffer. */
  #park(socket: Socket): ParkedSocket {
    const parked: ParkedSocket = {
      cursors: new Map(),
      outbox: new Outbox(socket),
      slowSinceMs: undefined,
      stalledMs: 0,
      recovering: undefined,
    };
    this.#parked.set(socket, parked);
    counters[SLOT.parked]! += 1;
    const names = socket.getTopics();
    for (const name of names) {
      const topic = this.#deps.find(name);
      if (topic) this.#subscriptions.set(parked.cursors, name, cursorOf(topic));
    }
    for (const name of names) socket.unsubscribe(name);
    return parked;
  }

  /** A reply to a request of a parked socket. It is queued where it would come between fragments, or into a full buffer. */
  reply(socket: Socket, bytes: Uint8Array): void {
    const { outbox } = this.#parked.get(socket)!;
    if (!outbox.isMidMessage && outbox.replyBytes === 0 && this.#canTake(socket)) {
      outbox.send(bytes);
      return;
    }
    outbox.reply(bytes);
    if (outbox.replyBytes > this.#maxBufferedBytes) this.#deps.scheduleDisconnect(socket);
  }

  /** Half the limit, so that a chunk or a push always fits and none is dropped. */
  #canTake(socket: Socket): boolean {
    return socket.getBufferedAmount() < this.#maxBufferedBytes / 2;
  }

  /** Removes and returns the requests of a topic that are not answered yet. */
  cancel(socket: Socket, topic: string): readonly SubscribeRequest[] {
    return this.#parked.get(socket)?.outbox.cancel(topic) ?? [];
  }

  /** Unsubscribes a parked socket. False when it did not follow the topic. */
  unsubscribe(socket: Socket, name: string): boolean {
    const parked = this.#parked.get(socket)!;
    if (parked.recovering === name) parked.recovering = undefined;
    this.#countUnsent(parked, name, "closed");
    return this.#subscriptions.remove(parked.cursors, name);
  }

  /** The connection ends; everything that the socket did not get is counted under the reason. */
  closed(socket: Socket, reason: UnsentReason): void {
    const parked = this.#parked.get(socket);
    if (!parked) return;
    for (const name of parked.cursors.keys()) this.#countUnsent(parked, name, reason);
    if (reason === "disconnect") countUndelivered("answer", parked.outbox.unanswered);
    this.#remove(socket, parked);
  }

  #countUnsent({ cursors, slowSinceMs }: ParkedSocket, name: string, reason: UnsentReason): void {
    const cursor = cursors.get(name);
    const topic = this.#deps.find(name);
    if (slowSinceMs !== undefined && cursor && topic) countUndelivered(reason, undeliveredAfter(topic, cursor));
  }

  #remove(socket: Socket, parked: ParkedSocket): void {
    for (const name of [...parked.cursors.keys()]) this.#subscriptions.remove(parked.cursors, name);
    this.#parked.delete(socket);
    this.#ready.delete(socket);
    counters[SLOT.parked]! -= 1;
    if (parked.slowSinceMs !== undefined) counters[SLOT.slowReaders]! -= 1;
  }

  /** What a parked socket has not got yet, over all its topics. */
  unsent(socket: Socket): Undelivered {
    const sum = { messages: 0, bytes: 0 };
    for (const [name, cursor] of this.topicsOf(socket) ?? []) {
      const topic = this.#deps.find(name);
      if (!topic) continue;
      const { messages, bytes } = undeliveredAfter(topic, cursor);
      sum.messages += messages;
      sum.bytes += bytes;
    }
    return sum;
  }

  slowSinceMs(socket: Socket): number | undefined {
    return this.#parked.get(socket)?.slowSinceMs;
  }

  /** Sockets that count as slow, and since when. */
  *slow(): Generator<{ socket: Socket; sinceMs: number }> {
    for (const [socket, { slowSinceMs: sinceMs }] of this.#parked) if (sinceMs !== undefined) yield { socket, sinceMs };
  }

  /** Whether the topic's next message to the socket is the answer to a request. */
  hasRequest(socket: Socket, topic: string): boolean {
    return this.#parked.get(socket)?.outbox.hasRequest(topic) === true;
  }

  /** Sockets that take nothing: for how long, now that `elapsedMs` have passed, and whether answers wait for them. */
  *stalled(elapsedMs: number): Generator<{ socket: Socket; stalledMs: number; hasUnanswered: boolean }> {
    for (const [socket, parked] of this.#parked) {
      // The socket has room and is queued for a turn, so the delay is ours. Room alone is no proof: the socket may still wait
      // for `drain`.
      if (this.#ready.has(socket) && this.#canTake(socket)) continue;
      parked.stalledMs += elapsedMs;
      yield { socket, stalledMs: parked.stalledMs, hasUnanswered: parked.outbox.unanswered.messages > 0 };
    }
  }

  /** True while a fragmented message is being sent: any other message would break the connection; a close frame is allowed. */
  isMidMessage(socket: Socket): boolean {
    return this.#parked.get(socket)?.outbox.isMidMessage === true;
  }

  drained(socket: Socket): void {
    if (this.has(socket)) this.#schedule(socket);
  }

  #schedule(socket: Socket): void {
    this.#ready.add(socket);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  /** Sockets that become ready meanwhile, or for which no time is left, are served in the next turn. */
  #turn(): void {
    const endMs = monotonicMs() + MAX_TURN_MS;
    let left = this.#ready.size;
    for (const socket of this.#ready) {
      this.#ready.delete(socket);
      const parked = this.#parked.get(socket);
      if (parked) socket.cork(() => this.#advance(socket, parked));
      left -= 1;
      if (left === 0 || monotonicMs() >= endMs) break;
    }
    this.#isScheduled = this.#ready.size > 0;
    if (this.#isScheduled) setImmediate(() => this.#turn());
  }

  /** Sends until the buffer is half full, the turn is used up, or everything is sent. */
  #advance(socket: Socket, parked: ParkedSocket): void {
    let sent = 0;
    while (this.#canTake(socket)) {
      if (sent >= MAX_TURN_BYTES) {
        this.#schedule(socket);
        return;
      }
      const bytes = this.#sendNext(socket, parked);
      if (bytes === undefined) {
        this.#deps.scheduleDisconnect(socket);
        return;
      }
      if (bytes === 0) {
        this.#goLive(socket, parked);
        return;
      }
      sent += bytes;
      parked.stalledMs = 0;
    }
    // Full: `drain` comes when the client has read, and `stalled` finds a client that never reads.
  }

  /**
   * Sends a chunk: of the message that is being sent, else of replies, promised pushes, answers and other missed pushes, in
   * this order. Returns its bytes; 0 when nothing is left, undefined when the socket must be disconnected.
   */
  #sendNext(socket: Socket, parked: ParkedSocket): number | undefined {
    const { outbox, cursors, recovering } = parked;
    const queued = outbox.sendChunk();
    if (queued > 0) return queued;
    if (recovering !== undefined) {
      const topic = this.#topicAhead(recovering, cursors.get(recovering));
      if (topic) return this.#sendMissed(socket, parked, topic);
      parked.recovering = undefined;
    }
    const request = outbox.nextRequest();
    if (request) return this.#sendAnswer(socket, parked, request);
    for (const [name, cursor] of cursors) {
      const topic = this.#topicAhead(name, cursor);
      if (topic) return this.#sendMissed(socket, parked, topic);
    }
    return 0;
  }

  /** The topic, if it has something after the cursor. */
  #topicAhead(name: string, cursor: Cursor | undefined): Topic | undefined {
    const topic = this.#deps.find(name);
    return topic && cursor && isBehind(topic, cursor) ? topic : undefined;
  }

  #sendAnswer(socket: Socket, parked: ParkedSocket, request: SubscribeRequest): number | undefined {
    const topic = this.#deps.find(request.topic);
    if (!topic) {
      this.#deps.askAgain(socket, request);
      return this.#sendNext(socket, parked);
    }
    const answer = answerTo(topic, request);
    countRecovery(request, answer);
    parked.cursors.set(topic.name, answer.from);
    if (answer.missed) parked.recovering = topic.name;
    return parked.outbox.sendShared(answer.message);
  }

  /** At most a chunk, and only while the buffer can take it: a message that did not fit would be lost. */
  #sendMissed(socket: Socket, parked: ParkedSocket, topic: Topic): number | undefined {
    const { outbox } = parked;
    const steps = stepsFrom(topic, parked.cursors.get(topic.name)!, parked.slowSinceMs !== undefined);
    if (!steps) return undefined;
    let sent = 0;
    for (const { message, isPush, cursor, unsent } of steps) {
      parked.cursors.set(topic.name, cursor);
      if (unsent) countUndelivered(unsent.reason, unsent);
      if (isPush) counters[SLOT.pushes]! += 1;
      sent += message instanceof SharedMessage ? outbox.sendShared(message) : outbox.send(message);
      if (sent >= MAX_CHUNK_BYTES || !this.#canTake(socket)) break;
    }
    return sent;
  }

  /** It has caught up with every topic: subscribed natively again, in this very turn. */
  #goLive(socket: Socket, parked: ParkedSocket): void {
    const names = [...parked.cursors.keys()];
    if (parked.slowSinceMs !== undefined) counters[SLOT.slowReadersCaughtUp]! += 1;
    this.#remove(socket, parked);
    for (const name of names) socket.subscribe(name);
  }
}
