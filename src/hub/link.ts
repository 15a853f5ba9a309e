/**
 * The worker's end of its link to the hub: dials the hub's unix socket, sends `hello`, passes received frames to `onFrame`,
 * and dials again when the link breaks (the hub may die and come back while every client stays connected). What is sent
 * without a link is dropped; what must survive is sent again after the hub's `welcome`. Worker process only.
 *
 * Each turn of the loop handles a few frames: from the 33rd publication of a turn on, uWebSockets sends while it is
 * publishing, and a full socket found at that point cannot be unsubscribed: the process crashes (src/README.md fact 9). While
 * frames wait, the pipe is not read, so that the hub's queue shows a worker that cannot keep up.
 */
import { createConnection, type Socket } from "node:net";
import type { Log } from "../log.js";
import { encode, FrameReader, type ToHub, type ToWorker, WIRE_VERSION } from "./wire.js";

/** One turn may see twice as many: what the poll phase brings, and what the check phase goes on with. 32 is the limit. */
const FRAMES_A_TURN = 16;
const STOP_MS = 3000;
/** The longest pause dials five times a second: every subscriber waits for a restarted hub. */
const RETRY_MS = { first: 20, max: 200 };

export interface LinkOptions {
  readonly path: string;
  /** Shows the hub that this worker is of its gateway: two gateways may share a run directory. */
  readonly token: string;
  readonly worker: number;
  readonly onLost: () => void;
  /**
   * Handles one frame. If that takes several publications, returns steps to be iterated: at most one publication before
   * each, and one after the last.
   */
  readonly onFrame: (frame: ToWorker) => Iterable<void> | undefined;
  readonly log: Log;
}

export class Link {
  readonly #options: LinkOptions;
  #socket: Socket | undefined;
  #up = false;
  /** The socket in which the frames of this tick wait. */
  #corked: Socket | undefined;
  #stopped = false;
  #retryMs = RETRY_MS.first;
  /** Received and not yet handled. Outlives a broken link: what the hub sent on it is still valid. */
  readonly #work: { steps: Iterator<void>; from: Socket }[] = [];
  #stepsLeft = FRAMES_A_TURN;
  #nextTurn: NodeJS.Immediate | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#dial();
  }

  get up(): boolean {
    return this.#up;
  }

  /** The frames of one tick leave in one writev: on a new link there is one for each topic. */
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
   * Resolves when the hub has read everything, or after `STOP_MS`. If the socket were closed at once, a publication on its way here
   * would break the pipe, and the hub would lose this worker's last counters with it, unread.
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
    const socket = createConnection(this.#options.path);
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
    const { worker, token } = this.#options;
    this.send({ type: "hello", version: WIRE_VERSION, worker, pid: process.pid, token });
  }

  #received(socket: Socket, reader: FrameReader, chunk: Buffer): void {
    this.#work.push({ steps: this.#steps(reader, chunk), from: socket });
    this.#proceed();
  }

  *#steps(reader: FrameReader, chunk: Buffer): Generator<void> {
    for (const frame of reader.read(chunk)) {
      // Not when the socket connects: a worker that is refused must not dial without a pause.
      if (frame.type === "welcome") this.#retryMs = RETRY_MS.first;
      const steps = this.#options.onFrame(frame as ToWorker);
      if (steps) yield* steps;
      // Every frame counts as a step, whatever its type: one that resets a topic publishes too.
      yield;
    }
  }

  #proceed(): void {
    for (let first = this.#work[0]; first !== undefined; first = this.#work[0]) {
      this.#nextTurn ??= setImmediate(() => this.#turn());
      if (this.#stepsLeft === 0) {
        this.#socket?.pause();
        return;
      }
      this.#stepsLeft -= 1;
      if (this.#isDone(first)) this.#work.shift();
    }
    this.#socket?.resume();
  }

  #isDone({ steps, from }: { steps: Iterator<void>; from: Socket }): boolean {
    try {
      return steps.next().done === true;
    } catch (error) {
      this.#options.log("error", "broken frame from the hub; dialling again", { error: String(error) });
      from.destroy();
      return true;
    }
  }

  #turn(): void {
    this.#nextTurn = undefined;
    this.#stepsLeft = FRAMES_A_TURN;
    this.#proceed();
  }

  #lost(): void {
    const wasUp = this.#up;
    this.#up = false;
    if (this.#stopped) return;
    if (wasUp) this.#options.onLost();
    setTimeout(() => this.#dial(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.max);
  }
}
