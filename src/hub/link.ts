/**
 * The worker's end of its link to the hub: dials the hub's unix socket, says hello, hands frames to the given receiver,
 * and dials again when the link breaks (the hub may die and come back while every client stays). Sends are dropped while
 * there is no link; what must survive is repeated when the hub says `welcome`. Worker only.
 *
 * Frames are taken a few in each turn of the loop. From the 33rd message of a turn on uWebSockets sends in the midst of
 * publishing, and a full socket that is found there cannot be unsubscribed: the process crashes (tried). While frames
 * wait, the pipe is not read, so that the hub sees a worker that cannot follow.
 */
import { createConnection, type Socket } from "node:net";
import type { Log } from "../log.js";
import { encode, FrameReader, type ToHub, type ToWorker, WIRE_VERSION } from "./wire.js";

/** Twice as many still fit: what comes with the poll phase, and what goes on right after it. */
const FRAMES_A_TURN = 16;
const STOP_MS = 3000;
/** A hub that was restarted is looked for five times a second: every subscriber waits for it. */
const RETRY_MS = { first: 20, max: 200 };

export interface LinkOptions {
  readonly path: string;
  /** Shown to the hub, which may be another gateway's (two may share a run directory). */
  readonly token: string;
  readonly worker: number;
  readonly onLost: () => void;
  /** A frame that makes several publications returns steps: at most one publication before each, and one after the last. */
  readonly onFrame: (frame: ToWorker) => Iterable<void> | undefined;
  readonly log: Log;
}

export class Link {
  #socket: Socket | undefined;
  #up = false;
  /** Frames of this tick wait in it. */
  #corked: Socket | undefined;
  #stopped = false;
  #retryMs = RETRY_MS.first;
  /** Received and not yet handled, over broken links too: what came counts. */
  readonly #work: { steps: Iterator<void>; from: Socket }[] = [];
  #left = FRAMES_A_TURN;
  #nextTurn: NodeJS.Immediate | undefined;

  constructor(private readonly options: LinkOptions) {
    this.#dial();
  }

  get up(): boolean {
    return this.#up;
  }

  /** The frames of one tick leave in one writev: on a new link every topic is asked for. */
  send(frame: ToHub): void {
    const socket = this.#socket;
    if (!this.#up || !socket) return;
    if (this.#corked !== socket) {
      this.#corked = socket;
      socket.cork();
      process.nextTick(() => {
        this.#corked = undefined;
        socket.uncork();
      });
    }
    socket.write(encode(frame));
  }

  /**
   * Resolves when the hub has read to the end, or after a while. Closed at once, a publication on its way here would break the
   * pipe, and the hub would drop the last numbers with it, unread.
   */
  stop(): Promise<void> {
    this.#stopped = true;
    const socket = this.#socket;
    if (!socket || socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      socket.once("close", () => resolve());
      setTimeout(() => socket.destroy(), STOP_MS).unref();
      socket.end();
    });
  }

  #dial(): void {
    const socket = createConnection(this.options.path);
    const reader = new FrameReader();
    this.#socket = socket;
    socket.on("connect", () => this.#connected());
    socket.on("data", (chunk) => this.#received(socket, reader, chunk));
    // The reason is in `close`; without a listener an error would end the process.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#lost());
  }

  #connected(): void {
    this.#up = true;
    const { worker, token } = this.options;
    this.send({ type: "hello", version: WIRE_VERSION, worker, pid: process.pid, token });
  }

  #received(socket: Socket, reader: FrameReader, chunk: Buffer): void {
    this.#work.push({ steps: this.#steps(reader, chunk), from: socket });
    this.#proceed();
  }

  *#steps(reader: FrameReader, chunk: Buffer): Generator<void> {
    for (const frame of reader.read(chunk)) {
      // Not when it is connected: one that is refused must not dial without a pause.
      if (frame.type === "welcome") this.#retryMs = RETRY_MS.first;
      const steps = this.options.onFrame(frame as ToWorker);
      if (steps) yield* steps;
      // Every frame is a step, whatever it came to: one that resets a topic publishes too.
      yield;
    }
  }

  #proceed(): void {
    for (let first = this.#work[0]; first !== undefined; first = this.#work[0]) {
      this.#nextTurn ??= setImmediate(() => this.#turn());
      if (this.#left === 0) {
        this.#socket?.pause();
        return;
      }
      this.#left -= 1;
      if (this.#isDone(first)) this.#work.shift();
    }
    this.#socket?.resume();
  }

  #isDone({ steps, from }: { steps: Iterator<void>; from: Socket }): boolean {
    try {
      return steps.next().done === true;
    } catch (error) {
      this.options.log("error", "broken frame from the hub; dialling again", { error: String(error) });
      from.destroy();
      return true;
    }
  }

  #turn(): void {
    this.#nextTurn = undefined;
    this.#left = FRAMES_A_TURN;
    this.#proceed();
  }

  #lost(): void {
    const wasUp = this.#up;
    this.#up = false;
    if (this.#stopped) return;
    if (wasUp) this.options.onLost();
    setTimeout(() => this.#dial(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.max);
  }
}
