/**
 * Readers slower than what is sent to them: found by a full buffer, parked, and cut when the policy of a topic of which
 * they lack something says so: at once, or when their grace is over (looked at once a second). Who takes no portion of
 * what it asked for in that time is slow too, and is cut while an answer is held for it. Listed for the operator. Costs
 * nothing for those who keep up.
 */
import { monotonicMs } from "../clock.js";
import { type SlowReader, worstFirst } from "../metrics/slow-reader.js";
import type { Socket } from "../protocol/socket.js";
import type { Journal } from "../topics/journal.js";
import type { Topic } from "../topics/topics.js";
import type { Parking } from "./parking.js";
import { countUndelivered, mustGo } from "./steps.js";

const CUT_KEPT = 100;
/** Looked at once a second; a look that comes later counts for so much. */
const MAX_TICK_MS = 2000;
/** Without any grace a reader is still given this to take the next portion of what it asked for: a packet may be lost. */
const MIN_STALL_MS = 2000;

export class SlowReaders {
  readonly #toCut = new Set<Socket>();
  /** The last that were cut. */
  readonly #lately: SlowReader[] = [];
  #tickedMs = monotonicMs();

  constructor(
    private readonly parking: Parking,
    private readonly journal: Journal,
    private readonly find: (topic: string) => Topic | undefined,
    /** How long a slow reader of a `disconnect` topic may take to catch up, milliseconds. */
    private readonly graceMs: number,
    private readonly cut: (socket: Socket) => void,
  ) {}

  /**
   * uWebSockets could not take a message for a full socket. Inside that callback close and end crash and send recurses,
   * only unsubscribing is safe (KERNEL.md §3.4): it is parked here and now, and cut in the next turn if need be. It cannot
   * be told, for its pipe is full.
   */
  dropped(socket: Socket, message: Uint8Array): void {
    const lost = this.journal.from(message);
    if (!lost) {
      countUndelivered("answer", { messages: 1, bytes: message.length });
      this.scheduleDisconnect(socket);
      return;
    }
    this.parking.overflowed(socket, lost);
    this.#judge(socket, monotonicMs());
  }

  /**
   * Once a second: some have had their grace, of some nobody remembers any more what they missed, and some take nothing of
   * what they asked for, whatever pongs they send.
   */
  tick(nowMs: number): void {
    // A loop that was blocked must not count as the readers' silence.
    const elapsedMs = Math.min(Math.max(nowMs - this.#tickedMs, 0), MAX_TICK_MS);
    this.#tickedMs = nowMs;
    for (const { socket, stalledMs, isOwed } of this.parking.stalled(elapsedMs)) {
      if (stalledMs < Math.max(this.graceMs, MIN_STALL_MS)) continue;
      this.parking.markSlow(socket, nowMs - stalledMs);
      // An answer that is on its way holds a snapshot, which no policy of a topic can make smaller.
      if (isOwed) this.scheduleDisconnect(socket);
    }
    for (const { socket } of this.parking.slow()) this.#judge(socket, nowMs);
  }

  #judge(socket: Socket, nowMs: number): void {
    const grace = { slowForMs: nowMs - (this.parking.slowSinceMs(socket) ?? nowMs), graceMs: this.graceMs };
    for (const [name, place] of this.parking.topicsOf(socket) ?? []) {
      const topic = this.find(name);
      // The answer that comes next takes the place of what is missing.
      if (topic && !this.parking.waitsFor(socket, name) && mustGo(topic, place, grace)) {
        this.scheduleDisconnect(socket);
        return;
      }
    }
  }

  /** Whether a reader of the topic may be slow, at least for a while. */
  toleratesSlowReaders(topic: string): boolean {
    return this.graceMs > 0 || (this.find(topic)?.slowReaders ?? "disconnect") !== "disconnect";
  }

  /** It is cut in the next turn. */
  scheduleDisconnect(socket: Socket): void {
    if (this.#toCut.size === 0) setImmediate(() => this.#cutAll());
    this.#toCut.add(socket);
  }

  #cutAll(): void {
    for (const socket of this.#toCut) {
      this.#toCut.delete(socket);
      if (this.#lately.length === CUT_KEPT) this.#lately.shift();
      const nowMs = monotonicMs();
      this.#lately.push({ ...this.#describe(socket, this.parking.slowSinceMs(socket) ?? nowMs), cutMs: nowMs });
      this.cut(socket);
    }
  }

  closed(socket: Socket): void {
    this.#toCut.delete(socket);
  }

  /** The worst `most` by bytes: those that are connected, and the last that were cut. */
  worst(max: number): SlowReader[] {
    const parked = [...this.parking.slow()].map(({ socket, sinceMs }) => ({
      socket,
      sinceMs,
      ...this.parking.unsent(socket),
    }));
    const chosen = parked.sort((a, b) => b.bytes - a.bytes).slice(0, max);
    return worstFirst([...chosen.map(({ socket, sinceMs }) => this.#describe(socket, sinceMs)), ...this.#lately], max);
  }

  #describe(socket: Socket, sinceMs: number): SlowReader {
    const address = Buffer.from(socket.getRemoteAddressAsText()).toString("latin1");
    const topics = [...(this.parking.topicsOf(socket)?.keys() ?? socket.getTopics())];
    return { address, topics, ...this.parking.unsent(socket), sinceMs };
  }
}
