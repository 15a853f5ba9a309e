/**
 * The state of all sockets of one generator, in typed arrays indexed by descriptor: 24 bytes a socket, no object, closure
 * or timer. A connection is open only when its own Sec-WebSocket-Accept was verified and its subscription answered.
 * Runs in generators. It decides nothing about the rate (ramp.ts, heartbeats.ts) and counts nothing (account.ts).
 */
import * as libc from "../../sysctl/kernel/libc.js";
import { monotonicMs } from "./clock.js";
import { Dialer } from "./dialer.js";
import { clientFrame, closeCode, closeFrame, FrameDecoder, type FrameSink, OPCODE } from "./frames.js";
import { AnswerCheck, INCOMPLETE, KeyPool, REFUSED } from "./handshake.js";
import type { Identities } from "./identities.js";
import type { GeneratorConfig } from "./messages.js";
import { HEARTBEAT_TEXT, type Message, MessageReader, type Subscribed } from "./protocol.js";

export const STATE = { free: 0, connecting: 1, upgrading: 2, subscribing: 3, open: 4, closing: 5 } as const;

const KEYS = 1024;
const RECEIVE_BYTES = 65_536;
const HEARTBEAT = clientFrame(OPCODE.text, Buffer.from(HEARTBEAT_TEXT));
const CLOSE = closeFrame(1000);
const EMPTY_PONG = clientFrame(OPCODE.pong, Buffer.alloc(0));
const WATCHED = libc.EPOLLIN | libc.EPOLLRDHUP;
export const ENDED = libc.EPOLLRDHUP | libc.EPOLLHUP | libc.EPOLLERR;

export interface ConnectionsOptions {
  readonly config: GeneratorConfig;
  /** One above the highest descriptor that a socket may have: the length of the arrays. */
  readonly slots: number;
  readonly events: ConnectionEvents;
  readonly identities: Identities;
}

export class Connections implements FrameSink {
  readonly #slots: number;
  readonly #events: ConnectionEvents;
  readonly #states: Uint8Array;
  readonly #attempts: Uint8Array;
  readonly #keys: Uint16Array;
  /** Which connection of this generator a descriptor is. */
  readonly #numbers: Uint32Array;
  /** Descriptors that a scenario has stopped reading. */
  readonly #paused: Uint8Array;
  /** When the attempt began, the unanswered heartbeat was sent, or the close frame was sent; 0 for none of these. */
  readonly #sinceMs: Float64Array;
  readonly #pool = new KeyPool(KEYS);
  readonly #answers = new AnswerCheck(this.#pool);
  readonly #decoder = new FrameDecoder(this);
  readonly #reader = new MessageReader();
  readonly #identities: Identities;
  readonly #dialer: Dialer;
  readonly #received = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  /** The first bytes of handshake answers that came in pieces; nearly always empty. */
  readonly #heads = new Map<number, Buffer>();
  #begun = 0;
  /** One above the highest descriptor in use so far. */
  top = 0;
  held = 0;

  constructor({ config, slots, events, identities }: ConnectionsOptions) {
    this.#slots = slots;
    this.#events = events;
    this.#states = new Uint8Array(slots);
    this.#attempts = new Uint8Array(slots);
    this.#keys = new Uint16Array(slots);
    this.#numbers = new Uint32Array(slots);
    this.#paused = new Uint8Array(slots);
    this.#sinceMs = new Float64Array(slots);
    this.#identities = identities;
    this.#dialer = new Dialer(config);
  }

  /** Begins connection `number`. */
  start(attempt: number, number = 0): void {
    const beganMs = monotonicMs();
    const fd = this.#dialer.dial(this.#slots);
    if (fd < 0) {
      this.#events.failed(attempt, libc.errorName(fd), number);
      return;
    }
    this.held++;
    if (fd >= this.top) this.top = fd + 1;
    this.#states[fd] = STATE.connecting;
    this.#attempts[fd] = attempt;
    this.#numbers[fd] = number;
    this.#paused[fd] = 0;
    this.#keys[fd] = this.#begun++ % KEYS;
    this.#sinceMs[fd] = beganMs;
    // On loopback the TCP handshake is over when connect() returns, whatever it returns: this saves one event per connection.
    const waits = this.#sendUpgrade(fd) === -libc.EAGAIN;
    if (this.#states[fd] === STATE.free) return;
    const watched = this.#events.watch(fd, waits ? WATCHED | libc.EPOLLOUT : WATCHED);
    if (watched < 0) this.#end(fd, libc.errorName(watched));
  }

  /** Sends the upgrade request if the TCP connection is established. */
  #sendUpgrade(fd: number): number {
    const request = this.#identities.request(this.#pool, this.#keys[fd]!, this.#numbers[fd]!);
    const sent = libc.send(fd, request, request.length);
    if (sent === request.length) this.#states[fd] = STATE.upgrading;
    else if (sent !== -libc.EAGAIN) this.#end(fd, sent < 0 ? libc.errorName(sent) : "short_send");
    return sent;
  }

  /** A descriptor is ready: reads all that is available. */
  ready(fd: number, events: number): void {
    if (this.#states[fd] === STATE.free || this.#paused[fd] === 1) return;
    if (this.#states[fd] === STATE.connecting) {
      const error = (events & ENDED) === 0 ? 0 : libc.pendingError(fd);
      if (error < 0) this.#end(fd, libc.errorName(error));
      else this.#sendUpgrade(fd);
    }
    let length = 0;
    do {
      if (this.#states[fd] === STATE.free) return;
      length = libc.receive(fd, this.#received);
      if (length > 0) this.#accept(fd, length);
      // Edge-triggered: a short read means empty, unless the end of the stream has been reported with it.
    } while (length === RECEIVE_BYTES || (length > 0 && (events & ENDED) !== 0));
    if (this.#states[fd] === STATE.free || length > 0 || length === -libc.EAGAIN) return;
    this.#end(fd, length === 0 ? "eof" : libc.errorName(length));
  }

  #accept(fd: number, length: number): void {
    if (this.#states[fd] === STATE.upgrading) this.#answered(fd, length);
    else this.#decoder.feed(fd, this.#received, 0, length);
  }

  #answered(fd: number, length: number): void {
    const head = this.#heads.size > 0 ? this.#heads.get(fd) : undefined;
    const bytes = head ? Buffer.concat([head, this.#received.subarray(0, length)]) : this.#received;
    const end = head ? bytes.length : length;
    const body = this.#answers.check(bytes, end, this.#keys[fd]!);
    if (body === INCOMPLETE) {
      this.#heads.set(fd, Buffer.from(bytes.subarray(0, end)));
      return;
    }
    if (head) this.#heads.delete(fd);
    if (body === REFUSED) {
      this.#end(fd, this.#answers.refusal);
      return;
    }
    this.#states[fd] = STATE.subscribing;
    if (body < end) this.#decoder.feed(fd, bytes, body, end);
  }

  text(fd: number, bytes: Buffer, from: number, to: number): boolean {
    const message = this.#reader.read(bytes, from, to);
    if (this.#states[fd] === STATE.subscribing) this.#subscription(fd, message);
    else this.#message(fd, message);
    return this.#states[fd] !== STATE.free;
  }

  #subscription(fd: number, message: Message): void {
    switch (message.type) {
      case "subscribed":
        if (message.code === 0 && this.#isMine(fd, message.topic)) this.#opened(fd, message);
        else this.#end(fd, "bad_answer");
        break;
      case "event":
        // `retry` may come before the answer, which may have to wait for the hub.
        if (message.name === "retry") this.#events.message(fd, message);
        else this.#end(fd, "bad_answer");
        break;
      case "heartbeat":
      case "push":
      case "other":
        this.#end(fd, "bad_answer");
        break;
    }
  }

  #opened(fd: number, answer: Subscribed): void {
    this.#states[fd] = STATE.open;
    const tookMs = monotonicMs() - this.#sinceMs[fd]!;
    this.#sinceMs[fd] = 0;
    this.#events.opened(fd, tookMs, answer);
  }

  #isMine(fd: number, topic: string): boolean {
    return topic === this.#identities.topic(this.#numbers[fd]!);
  }

  #message(fd: number, message: Message): void {
    if (this.#states[fd] !== STATE.open) return;
    switch (message.type) {
      case "heartbeat": {
        const sentMs = this.#sinceMs[fd]!;
        if (message.code !== 0 || sentMs === 0) {
          this.#events.message(fd, message);
          break;
        }
        this.#sinceMs[fd] = 0;
        this.#events.heartbeatAnswered(monotonicMs() - sentMs);
        break;
      }
      case "push":
        if (this.#isMine(fd, message.topic)) this.#events.message(fd, message);
        else this.#events.odd("push of a topic that this connection does not follow");
        break;
      case "subscribed":
      case "event":
      case "other":
        this.#events.message(fd, message);
        break;
    }
  }

  control(fd: number, opcode: number, bytes: Buffer, from: number, to: number): boolean {
    if (opcode === OPCODE.pong) return true;
    if (opcode === OPCODE.ping) {
      const pong = from === to ? EMPTY_PONG : clientFrame(OPCODE.pong, bytes.subarray(from, to));
      libc.send(fd, pong, pong.length);
      return true;
    }
    const code = closeCode(bytes, from, to);
    if (this.#states[fd] !== STATE.closing) libc.send(fd, CLOSE, CLOSE.length);
    this.#end(fd, this.#states[fd] === STATE.open ? String(code) : `close_${code}`);
    return false;
  }

  violation(fd: number, why: string): void {
    this.#events.odd(why);
    this.#end(fd, this.#states[fd] === STATE.open ? "protocol violation" : "bad_answer");
  }

  isOpen(fd: number): boolean {
    return this.#states[fd] === STATE.open;
  }

  numberOf(fd: number): number {
    return this.#numbers[fd]!;
  }

  /** Retry-After of the last refused handshake; 0 without one. */
  get retryAfterMs(): number {
    return this.#answers.retryAfterMs;
  }

  /** Ends an open connection without a close frame: the peer gets a TCP reset. */
  cut(fd: number): void {
    libc.resetOnClose(fd);
    this.#end(fd, "cut");
  }

  /**
   * Stops reading an open connection. Its receive buffer keeps its size: if it were smaller than the window that the peer
   * knows, it would drop segments, and then the peer's retransmissions would decide when the transfer resumes.
   */
  pause(fd: number): void {
    this.#paused[fd] = 1;
  }

  /** Reads again, beginning with all that has accumulated. */
  resume(fd: number): void {
    if (this.#paused[fd] === 0) return;
    this.#paused[fd] = 0;
    this.ready(fd, ENDED);
  }

  /** Sends a heartbeat, unless the last one is still unanswered or the socket's buffer is full. */
  heartbeat(fd: number): boolean {
    if (this.#states[fd] !== STATE.open || this.#sinceMs[fd] !== 0) return false;
    this.#sinceMs[fd] = monotonicMs();
    const sent = libc.send(fd, HEARTBEAT, HEARTBEAT.length);
    if (sent === HEARTBEAT.length) return true;
    this.#sinceMs[fd] = 0;
    if (sent !== -libc.EAGAIN) this.#end(fd, sent < 0 ? libc.errorName(sent) : "short_send");
    return false;
  }

  /** Sends a close frame; the gateway answers with its own, and then the descriptor is closed. */
  close(fd: number): boolean {
    if (this.#states[fd] !== STATE.open) return false;
    this.#states[fd] = STATE.closing;
    this.#sinceMs[fd] = monotonicMs();
    if (libc.send(fd, CLOSE, CLOSE.length) !== CLOSE.length) this.#end(fd, "unsent close");
    return true;
  }

  /** Ends every connection that has waited longer than `timeoutMs` to open or to close. */
  sweep(timeoutMs: number, reason = "timeout"): void {
    const before = monotonicMs() - timeoutMs;
    for (let fd = 0; fd < this.top; fd++) {
      const state = this.#states[fd]!;
      if (state !== STATE.free && state !== STATE.open && this.#sinceMs[fd]! <= before) this.#end(fd, reason);
    }
  }

  /** The only place where a connection ends: closes the descriptor and reports how it ended. */
  #end(fd: number, reason: string): void {
    const state = this.#states[fd];
    libc.closeDescriptor(fd);
    this.#states[fd] = STATE.free;
    this.held--;
    this.#decoder.forget(fd);
    if (this.#heads.size > 0) this.#heads.delete(fd);
    const number = this.#numbers[fd]!;
    if (state === STATE.open) this.#events.lost(reason, number);
    else if (state === STATE.closing) this.#events.ended(number);
    else this.#events.failed(this.#attempts[fd]!, reason, number);
  }
}

export interface ConnectionEvents {
  /** Registers a descriptor for edge-triggered events; returns zero or a negated error number. */
  watch(fd: number, events: number): number;
  opened(fd: number, tookMs: number, answer: Subscribed): void;
  /** Attempt number `attempt` (0 is the first) of connection `number` did not lead to an open connection. */
  failed(attempt: number, reason: string, number: number): void;
  /** An open connection ended that had not been asked to close. */
  lost(reason: string, number: number): void;
  /** A connection closed that had been asked to. */
  ended(number: number): void;
  heartbeatAnswered(tookMs: number): void;
  /** Any other message to an open connection. */
  message(fd: number, message: Message): void;
  /** The gateway sent a message that it should not have sent. */
  odd(what: string): void;
}
