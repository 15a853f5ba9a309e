/**
 * Readers slower than what is sent to them. A full buffer reveals them; they are parked, and disconnected when the policy of a
 * topic whose pushes they miss says so: at once, or when their grace is over (checked once a second). A reader that takes no
 * chunk of what it asked for within that time is slow too, and is disconnected while an answer waits for it. Lists slow
 * readers for the operator. Costs nothing for readers that keep up. Worker only.
 */
import { monotonicMs } from "../clock.js";
import { type SlowReader, worstFirst } from "../metrics/slow-reader.js";
import type { Socket } from "../protocol/socket.js";
import type { Journal } from "../topics/journal.js";
import type { Topic } from "../topics/topics.js";
import type { Parking } from "./parking.js";
import { countUndelivered, mustDisconnect } from "./steps.js";

const MAX_DISCONNECTED_LISTED = 100;
/** A tick that comes later than this counts as this: a blocked loop is not the readers' fault. */
const MAX_TICK_MS = 2000;
/** Even without grace a reader has this long to take the next chunk of what it asked for: a packet may be lost. */
const MIN_STALL_MS = 2000;

export interface SlowReadersOptions {
  readonly parking: Parking;
  readonly journal: Journal;
  readonly find: (topic: string) => Topic | undefined;
  /** How long a slow reader of a `disconnect` topic may take to catch up, milliseconds. */
  readonly graceMs: number;
  readonly disconnect: (socket: Socket) => void;
}

export class SlowReaders {
  readonly #parking: Parking;
  readonly #journal: Journal;
  readonly #find: (topic: string) => Topic | undefined;
  readonly #graceMs: number;
  readonly #disconnect: (socket: Socket) => void;
  readonly #toDisconnect = new Set<Socket>();
  /** The last ones, the oldest first. */
  readonly #disconnected: SlowReader[] = [];
  #tickedMs = monotonicMs();

  constructor({ parking, journal, find, graceMs, disconnect }: SlowReadersOptions) {
    this.#parking = parking;
    this.#journal = journal;
    this.#find = find;
    this.#graceMs = graceMs;
    this.#disconnect = disconnect;
  }

  /**
   * The native dropped handler: uWebSockets could not take a message for a full socket. Inside it `close` and `end` crash and
   * `send` recurses, only `unsubscribe` is safe (src/README.md fact 15): the socket is parked at once, and disconnected in
   * the next turn if the policy says so. No message can explain that to the client, because its buffer is full.
   */
  dropped(socket: Socket, message: Uint8Array): void {
    const lost = this.#journal.entriesFrom(message);
    if (!lost) {
      countUndelivered("answer", { messages: 1, bytes: message.length });
      this.scheduleDisconnect(socket);
      return;
    }
    this.#parking.overflowed(socket, lost);
    this.#applyPolicies(socket, monotonicMs());
  }

  /**
   * Once a second: disconnects readers whose grace is over, whose missed pushes are no longer remembered, or which take nothing
   * of what they asked for, whatever pongs they send.
   */
  tick(nowMs: number): void {
    // A loop that was blocked must not count as stalled readers.
    const elapsedMs = Math.min(Math.max(nowMs - this.#tickedMs, 0), MAX_TICK_MS);
    this.#tickedMs = nowMs;
    for (const { socket, stalledMs, hasUnanswered } of this.#parking.stalled(elapsedMs)) {
      if (stalledMs < Math.max(this.#graceMs, MIN_STALL_MS)) continue;
      this.#parking.markSlow(socket, nowMs - stalledMs);
      // An answer holds a snapshot, which no policy of a topic can make smaller.
      if (hasUnanswered) this.scheduleDisconnect(socket);
    }
    for (const { socket } of this.#parking.slow()) this.#applyPolicies(socket, nowMs);
  }

  #applyPolicies(socket: Socket, nowMs: number): void {
    const grace = { slowForMs: nowMs - (this.#parking.slowSinceMs(socket) ?? nowMs), graceMs: this.#graceMs };
    for (const [name, cursor] of this.#parking.topicsOf(socket) ?? []) {
      const topic = this.#find(name);
      // An answer that comes next replaces what is missing.
      if (topic && !this.#parking.hasRequest(socket, name) && mustDisconnect(topic, cursor, grace)) {
        this.scheduleDisconnect(socket);
        return;
      }
    }
  }

  /** Whether the topic's policy lets a reader be slow, at least for a while. */
  toleratesSlowReaders(topic: string): boolean {
    return this.#graceMs > 0 || (this.#find(topic)?.slowReaders ?? "disconnect") !== "disconnect";
  }

  /** Disconnects the socket in the next turn. */
  scheduleDisconnect(socket: Socket): void {
    if (this.#toDisconnect.size === 0) setImmediate(() => this.#disconnectScheduled());
    this.#toDisconnect.add(socket);
  }

  #disconnectScheduled(): void {
    for (const socket of this.#toDisconnect) {
      this.#toDisconnect.delete(socket);
      if (this.#disconnected.length === MAX_DISCONNECTED_LISTED) this.#disconnected.shift();
      const nowMs = monotonicMs();
      this.#disconnected.push({ ...this.#describe(socket, this.#parking.slowSinceMs(socket) ?? nowMs), cutMs: nowMs });
      this.#disconnect(socket);
    }
  }

  closed(socket: Socket): void {
    this.#toDisconnect.delete(socket);
  }

  /** The worst `max` by unsent bytes, of connected slow readers and of the last ones that were disconnected. */
  worst(max: number): SlowReader[] {
    const parked = [...this.#parking.slow()].map(({ socket, sinceMs }) => ({
      socket,
      sinceMs,
      ...this.#parking.unsent(socket),
    }));
    const chosen = parked.sort((a, b) => b.bytes - a.bytes).slice(0, max);
    return worstFirst(
      [...chosen.map(({ socket, sinceMs }) => this.#describe(socket, sinceMs)), ...this.#disconnected],
      max,
    );
  }

  #describe(socket: Socket, sinceMs: number): SlowReader {
    const address = Buffer.from(socket.getRemoteAddressAsText()).toString("latin1");
    const topics = [...(this.#parking.topicsOf(socket)?.keys() ?? socket.getTopics())];
    return { address, topics, ...this.#parking.unsent(socket), sinceMs };
  }
}
