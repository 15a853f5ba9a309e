/**
 * The hub's listening end: one unix socket in a private run directory, one peer per worker. Frames are decoded here,
 * writes of one tick leave together, and a worker whose queue is full is cut off: it dials in again and resyncs, which
 * is cheaper and more honest than memory without a bound. Hub process only.
 */
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Log } from "../log.js";
import { type SlowReader, worstFirst } from "../metrics/slow-reader.js";
import { AddressBook } from "./addresses.js";
import { Census } from "./census.js";
import type { Hub, Peer } from "./hub.js";
import type { Rebuild } from "./rebuild.js";
import { encode, FrameReader, type ToHub, type ToWorker, type Want } from "./wire.js";

const ROOM_MS = 5000;

export interface AcceptorOptions {
  readonly path: string;
  readonly queueBytes: number;
  /** --connections-per-address; 0 is none. */
  readonly addressLimit: number;
  readonly log: Log;
  /** A worker's counters, as it pushes them once a second. */
  readonly onCounters: (worker: number, values: Float64Array) => void;
  readonly onLinked: (worker: number, pid: number) => void;
  readonly onLeft: (worker: number, pid: number) => void;
}

/** One linked worker. */
class WorkerPeer implements Peer {
  worker = -1;
  pid = 0;
  readonly wanted = new Set<string>();
  #corked = false;

  constructor(
    readonly socket: Socket,
    private readonly queueBytes: number,
    private readonly onOverflow: (peer: WorkerPeer) => void,
  ) {}

  /** Queues a frame; the frames of one tick leave in one writev. */
  write(frame: Buffer): void {
    if (this.socket.destroyed) return;
    if (!this.#corked) {
      this.#corked = true;
      this.socket.cork();
      // Before the publisher's answer leaves (promises run later): what was answered is on its way to the workers.
      process.nextTick(() => this.#flush());
    }
    this.socket.write(frame);
    if (this.socket.writableLength > this.queueBytes) this.onOverflow(this);
  }

  #flush(): void {
    this.#corked = false;
    this.socket.uncork();
  }
}

export class Acceptor {
  readonly #server: Server;
  readonly #peers = new Set<WorkerPeer>();
  readonly #census = new Census();
  /** Undefined where addresses are not limited. */
  readonly #addresses: AddressBook<WorkerPeer> | undefined;
  overflows = 0;

  constructor(
    private readonly hub: Hub,
    private readonly rebuild: Rebuild,
    private readonly options: AcceptorOptions,
  ) {
    const { addressLimit } = options;
    this.#addresses = addressLimit > 0 ? new AddressBook(addressLimit, (news) => this.#tellAll(news)) : undefined;
    this.#server = createServer((socket) => this.#accepted(socket));
  }

  listen(): Promise<void> {
    // A hub that was killed left its socket behind; the run directory is ours alone, so nobody else listens there.
    rmSync(this.options.path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.options.path, resolve);
    });
  }

  close(): void {
    this.#server.close();
    for (const peer of this.#peers) peer.socket.destroy();
  }

  /**
   * Undefined while every worker's queue has room; else settles when it has, or after `ROOM_MS`, when a worker that takes
   * nothing must not hold up the publishers any longer and its link may be cut. Publishers wait for it between messages.
   */
  room(): Promise<void> | undefined {
    return this.#fullest() < this.options.queueBytes / 2 ? undefined : this.#roomLater(Date.now() + ROOM_MS);
  }

  async #roomLater(untilMs: number): Promise<void> {
    while (this.#fullest() >= this.options.queueBytes / 4 && Date.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #fullest(): number {
    let most = 0;
    for (const { socket } of this.#peers) most = Math.max(most, socket.writableLength);
    return most;
  }

  /** Bytes that wait towards each worker. */
  queues(): { worker: number; bytes: number }[] {
    return [...this.#peers].map((peer) => ({ worker: peer.worker, bytes: peer.socket.writableLength }));
  }

  /** How many sockets follow a topic, over the workers that want it. */
  async subscribers(topic: string): Promise<number> {
    const replies = await this.#census.ask({ topic }, this.hub.followers(topic));
    return replies.reduce((sum, { subscribers = 0 }) => sum + subscribers, 0);
  }

  /** The slowest readers of all workers, the worst first. */
  async slowest(most: number): Promise<SlowReader[]> {
    const replies = await this.#census.ask({ slowest: most }, this.#peers);
    return worstFirst(
      replies.flatMap(({ readers = [] }) => readers),
      most,
    );
  }

  /** Whether `expected` workers are linked and have received all that was sent to them until now. */
  async haveRead(expected: number): Promise<boolean> {
    const linked = [...this.#peers].filter(({ worker }) => worker >= 0);
    if (this.rebuild.running || linked.length < expected) return false;
    return (await this.#census.ask({ read: true }, linked)).length === linked.length;
  }

  /** Whether the worker process still has a link, on which its last words may come. */
  isLinked(pid: number): boolean {
    return [...this.#peers].some((peer) => peer.pid === pid);
  }

  #tellAll(news: ToWorker): void {
    const frame = encode(news);
    for (const peer of this.#peers) peer.write(frame);
  }

  #accepted(socket: Socket): void {
    const peer = new WorkerPeer(socket, this.options.queueBytes, (full) => this.#overflow(full));
    const reader = new FrameReader();
    this.#peers.add(peer);
    socket.on("data", (chunk) => {
      try {
        for (const frame of reader.read(chunk)) this.#received(peer, frame as ToHub);
      } catch (error) {
        this.options.log("error", "broken frame from a worker; link cut", {
          worker: peer.worker,
          error: String(error),
        });
        socket.destroy();
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#peers.delete(peer);
      this.hub.left(peer, peer.wanted);
      this.#addresses?.left(peer);
      if (peer.worker >= 0) this.options.onLeft(peer.worker, peer.pid);
    });
  }

  #received(peer: WorkerPeer, frame: ToHub): void {
    switch (frame.type) {
      case "hello":
        peer.worker = frame.worker;
        peer.pid = frame.pid;
        this.options.onLinked(frame.worker, frame.pid);
        peer.write(encode({ type: "welcome", rebuild: this.rebuild.running }));
        for (const news of this.#addresses?.standing() ?? []) peer.write(encode(news));
        break;
      case "offer":
        if (this.rebuild.running) this.hub.adopt(frame);
        break;
      case "offered":
        this.rebuild.offered(peer.worker);
        break;
      case "want":
        peer.wanted.add(frame.topic);
        this.rebuild.whenDone(() => this.#want(peer, frame));
        break;
      case "unwant":
        peer.wanted.delete(frame.topic);
        this.hub.unwant(peer, frame.topic);
        break;
      case "reply":
        this.#census.replied(frame);
        break;
      case "addresses":
        this.#addresses?.report(peer, frame.counts);
        break;
      case "counters":
        this.options.onCounters(peer.worker, frame.values);
        break;
    }
  }

  #want(peer: WorkerPeer, { topic, epoch, offset }: Want): void {
    // Unwanted or gone while the hub was being rebuilt.
    if (!peer.wanted.has(topic) || peer.socket.destroyed) return;
    this.hub.want(peer, topic, epoch === undefined || offset === undefined ? undefined : { epoch, offset });
  }

  #overflow(peer: WorkerPeer): void {
    this.overflows += 1;
    this.options.log("warn", "hub queue towards a worker is full; link cut, it will resync", {
      worker: peer.worker,
      bytes: peer.socket.writableLength,
    });
    peer.socket.destroy();
  }
}
