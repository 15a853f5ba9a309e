/**
 * The hub's end of the links: listens on one unix socket in a private run directory, with one peer for each worker. Decodes
 * frames; holds the writes of one turn of the loop until that turn is in the log, then sends them together. Cuts the link of a
 * worker whose queue is full: the worker dials again and resyncs, where the alternative is memory without a bound. Answers
 * requests for thousands of topics only as fast as the pipe takes them, so that answers never fill a queue. Hub process only.
 */
import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Log } from "../log.js";
import { type SlowReader, worstFirst } from "../metrics/slow-reader.js";
import { AddressLimits } from "./address-limits.js";
import type { Hub } from "./hub.js";
import type { Peer } from "./topic-table.js";
import { encode, type Follow, FrameReader, type Hello, type ToHub, type ToWorker, WIRE_VERSION } from "./wire.js";
import { WorkerQueries } from "./worker-queries.js";

/** Publishers wait no longer than this for a queue to drain: then a worker that reads nothing loses its link instead. */
const MAX_BACKPRESSURE_MS = 5000;
/** Answers to `follow` may take a quarter of a worker's queue; the rest is for publications. */
const ANSWERS_SHARE = 4;

export interface AcceptorOptions {
  readonly path: string;
  /** The token that every worker of this gateway has in its `hello`. */
  readonly token: string;
  readonly queueBytes: number;
  /** --connections-per-address; 0: no limit. */
  readonly addressLimit: number;
  readonly log: Log;
  /** A worker's counters, as it pushes them once a second. */
  readonly onCounters: (worker: number, values: Float64Array) => void;
  readonly onLinked: (worker: number, pid: number) => void;
  readonly onLeft: (worker: number, pid: number) => void;
  /** The worker has asked for everything that it follows. */
  readonly onRelinked: (worker: number) => void;
  /** Frames wait. Call `release` when the changes that they carry are in the log. */
  readonly onWaiting: () => void;
}

interface PeerOptions {
  readonly queueBytes: number;
  readonly onCorked: (peer: WorkerPeer) => void;
  readonly onOverflow: (peer: WorkerPeer) => void;
}

/** One linked worker. */
class WorkerPeer implements Peer {
  readonly socket: Socket;
  /** -1 until its `hello`. */
  worker = -1;
  pid = 0;
  /** Topics that it follows, with the number of its latest request. */
  readonly followed = new Map<string, number>();
  /** Requests that wait until its pipe has taken the answers to earlier ones. */
  readonly unanswered = new Map<string, Follow>();
  readonly #options: PeerOptions;
  #corked = false;
  #answerBytes = 0;

  constructor(socket: Socket, options: PeerOptions) {
    this.socket = socket;
    this.#options = options;
  }

  requestOf(topic: string): number {
    return this.followed.get(topic) ?? 0;
  }

  /** Whether its pipe takes one more answer. If not, `drain` will follow: it comes only after the high-water mark was passed. */
  get takesAnswers(): boolean {
    const { writableLength, writableHighWaterMark } = this.socket;
    return writableLength < Math.max(this.#options.queueBytes / ANSWERS_SHARE, writableHighWaterMark);
  }

  /** Queues a frame; the frames of one turn leave in one writev. */
  write(frame: Buffer): void {
    if (this.socket.destroyed) return;
    this.#send(frame);
    const { queueBytes, onOverflow } = this.#options;
    if (this.socket.writableLength - this.#answerBytes > queueBytes) onOverflow(this);
  }

  /** Queues an answer to `follow`. However large it is, it does not count against the queue: `takesAnswers` bounds them. */
  answer(frame: Buffer): void {
    this.#answerBytes += frame.length;
    this.#send(frame, () => {
      this.#answerBytes -= frame.length;
    });
  }

  #send(frame: Buffer, onSent?: () => void): void {
    if (this.socket.destroyed) return;
    if (!this.#corked) {
      this.#corked = true;
      this.socket.cork();
      this.#options.onCorked(this);
    }
    this.socket.write(frame, onSent);
  }

  uncork(): void {
    this.#corked = false;
    this.socket.uncork();
  }
}

export class Acceptor {
  readonly #hub: Hub;
  readonly #options: AcceptorOptions;
  readonly #server: Server;
  readonly #peers = new Set<WorkerPeer>();
  /** Peers whose frames wait for the log. */
  #corked: WorkerPeer[] = [];
  readonly #queries = new WorkerQueries();
  /** Undefined where addresses are not limited. */
  readonly #addresses: AddressLimits<WorkerPeer> | undefined;
  overflows = 0;

  constructor(hub: Hub, options: AcceptorOptions) {
    this.#hub = hub;
    this.#options = options;
    const { addressLimit } = options;
    this.#addresses =
      addressLimit > 0 ? new AddressLimits(addressLimit, (change) => this.#writeToAll(change)) : undefined;
    this.#server = createServer((socket) => this.#accepted(socket));
  }

  listen(): Promise<void> {
    // A hub that was killed leaves its socket behind. The run directory is private: no other program listens on that path.
    rmSync(this.#options.path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#options.path, () => {
        chmodSync(this.#options.path, 0o600);
        resolve();
      });
    });
  }

  close(): void {
    this.#server.close();
    for (const peer of this.#peers) peer.socket.destroy();
  }

  /**
   * Undefined while every worker's queue is less than half full. Else settles when all are below a quarter, or after
   * `MAX_BACKPRESSURE_MS`. Publishers wait for it between messages.
   */
  backpressure(): Promise<void> | undefined {
    if (this.#longestQueueBytes() < this.#options.queueBytes / 2) return undefined;
    return this.#queuesDrained(performance.now() + MAX_BACKPRESSURE_MS);
  }

  async #queuesDrained(untilMs: number): Promise<void> {
    while (this.#longestQueueBytes() >= this.#options.queueBytes / 4 && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #longestQueueBytes(): number {
    let max = 0;
    for (const { socket } of this.#peers) max = Math.max(max, socket.writableLength);
    return max;
  }

  /** Bytes that wait towards each worker. */
  queues(): { worker: number; bytes: number }[] {
    return [...this.#peers].map((peer) => ({ worker: peer.worker, bytes: peer.socket.writableLength }));
  }

  /** How many sockets subscribe to a topic, over the workers that follow it. */
  async subscribers(topic: string): Promise<number> {
    const replies = await this.#queries.ask({ topic }, this.#hub.followers(topic));
    return replies.reduce((sum, { subscribers = 0 }) => sum + subscribers, 0);
  }

  /** The same for each of many topics, with one question to each worker that follows any of them. */
  async subscribersOfEach(names: readonly string[]): Promise<number[]> {
    const followers = new Set(names.flatMap((name) => [...this.#hub.followers(name)]));
    const replies = await this.#queries.ask({ topics: names }, followers);
    return names.map((_, i) => replies.reduce((sum, { counts }) => sum + (counts?.[i] ?? 0), 0));
  }

  /** The slowest readers of all workers, the worst first. */
  async slowest(max: number): Promise<SlowReader[]> {
    const replies = await this.#queries.ask({ slowest: max }, this.#peers);
    return worstFirst(
      replies.flatMap(({ readers = [] }) => readers),
      max,
    );
  }

  /** The changes that the waiting frames carry are in the log: sends them. */
  release(): void {
    const corked = this.#corked;
    this.#corked = [];
    for (const peer of corked) peer.uncork();
  }

  /** Requests for topics whose answers wait until a pipe drains. */
  get unanswered(): number {
    let sum = 0;
    for (const peer of this.#peers) sum += peer.unanswered.size;
    return sum;
  }

  /** Whether the worker process still has a link, on which its last counters may come. */
  isLinked(pid: number): boolean {
    return [...this.#peers].some((peer) => peer.pid === pid);
  }

  #writeToAll(message: ToWorker): void {
    const frame = encode(message);
    for (const peer of this.#peers) peer.write(frame);
  }

  #accepted(socket: Socket): void {
    const peer = new WorkerPeer(socket, {
      queueBytes: this.#options.queueBytes,
      onCorked: (corked) => {
        this.#corked.push(corked);
        this.#options.onWaiting();
      },
      onOverflow: (full) => this.#overflow(full),
    });
    const reader = new FrameReader();
    this.#peers.add(peer);
    socket.on("data", (chunk) => {
      try {
        for (const frame of reader.read(chunk)) this.#received(peer, frame as ToHub);
      } catch (error) {
        this.#options.log("error", "broken frame from a worker; link cut", {
          worker: peer.worker,
          error: String(error),
        });
        socket.destroy();
      }
    });
    socket.on("error", () => undefined);
    socket.on("drain", () => this.#answerFollows(peer));
    socket.on("close", () => {
      this.#peers.delete(peer);
      this.#hub.unlinked(peer, peer.followed.keys());
      this.#addresses?.unlinked(peer);
      if (peer.worker >= 0) this.#options.onLeft(peer.worker, peer.pid);
    });
  }

  /** The first frame must be the `hello` of a worker of this gateway; any other is refused and ends the link. */
  #isOurs(peer: WorkerPeer, frame: ToHub): boolean {
    const reason =
      frame.type !== "hello"
        ? `the first frame is ${frame.type}, not hello`
        : frame.version === WIRE_VERSION && frame.token !== this.#options.token
          ? `process ${frame.pid} is a worker of another gateway`
          : undefined;
    if (reason === undefined) return true;
    this.#options.log("warn", `a link was refused: ${reason}; give each gateway a --run-dir of its own`);
    peer.socket.end(encode({ type: "refused", reason }), () => peer.socket.destroy());
    return false;
  }

  #received(peer: WorkerPeer, frame: ToHub): void {
    if (peer.worker < 0 && (!peer.socket.writable || !this.#isOurs(peer, frame))) return;
    switch (frame.type) {
      case "hello":
        this.#hello(peer, frame);
        break;
      case "follow":
        peer.followed.set(frame.topic, frame.request);
        peer.unanswered.set(frame.topic, frame);
        this.#answerFollows(peer);
        break;
      case "unfollow":
        peer.followed.delete(frame.topic);
        peer.unanswered.delete(frame.topic);
        this.#hub.unfollow(peer, frame.topic);
        break;
      case "relinked":
        this.#options.onRelinked(peer.worker);
        break;
      case "compare":
        this.#compare(peer, frame.topics);
        break;
      case "reply":
        this.#queries.replied(frame);
        break;
      case "addresses":
        this.#addresses?.report(peer, frame.counts);
        break;
      case "counters":
        this.#options.onCounters(peer.worker, frame.values);
        break;
      default:
        // Of another version of the program: its hello was refused, or never came.
        throw new TypeError(`unknown frame ${String((frame satisfies never as { type: unknown }).type)}`);
    }
  }

  #hello(peer: WorkerPeer, { worker, pid, version }: Hello): void {
    if (version !== WIRE_VERSION) {
      const reason = `this worker speaks version ${version} of the protocol between processes and the hub ${WIRE_VERSION}: the program was replaced while it ran; restart the whole gateway`;
      this.#options.log("error", `worker refused: ${reason}`, { worker, pid });
      peer.write(encode({ type: "refused", reason }));
      peer.socket.end();
      return;
    }
    peer.worker = worker;
    peer.pid = pid;
    this.#options.onLinked(worker, pid);
    peer.write(encode({ type: "welcome" }));
    for (const atLimit of this.#addresses?.current() ?? []) peer.write(encode(atLimit));
  }

  /** Answers as many requests as the pipe takes; called again when it has drained. */
  #answerFollows(peer: WorkerPeer): void {
    for (const [topic, follow] of peer.unanswered) {
      if (!peer.takesAnswers || peer.socket.destroyed) return;
      peer.unanswered.delete(topic);
      this.#hub.follow(peer, follow);
    }
  }

  /** Names to the worker the topics that it follows and that are not served to it; it asks again for them. */
  #compare(peer: WorkerPeer, topics: readonly string[]): void {
    const unserved = topics.filter(
      (topic) => !peer.unanswered.has(topic) && !this.#hub.followers(topic).includes(peer),
    );
    if (unserved.length > 0) peer.write(encode({ type: "unserved", topics: unserved }));
  }

  #overflow(peer: WorkerPeer): void {
    this.overflows += 1;
    this.#options.log("warn", "hub queue towards a worker is full; link cut, it will resync", {
      worker: peer.worker,
      bytes: peer.socket.writableLength,
    });
    peer.socket.destroy();
  }
}
