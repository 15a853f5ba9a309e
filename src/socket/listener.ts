/**
 * Decides when this worker listens. All workers share the public port (SO_REUSEPORT). At its cap a worker closes its
 * listening socket, so that the kernel sends new connections to workers that have capacity, and listens again when it has
 * capacity itself. Where no worker has any, the supervisor lets it listen a little beyond the cap (`overflow`), so that
 * clients get a 503 instead of a refused connection. Counts every accepted descriptor, upgraded or not: at the descriptor
 * limit uWebSockets would spin at 100 % CPU (src/README.md fact 11). Worker only.
 */
import type { Log } from "../log.js";
import { setBacklog } from "./backlog.js";
import { Lingering } from "./lingering.js";
import { closeListenSocket, type TemplatedApp, type us_listen_socket } from "./native.js";

/** The calls into uWebSockets and the kernel; a test passes its own. */
export interface ListenCalls {
  closeListenSocket(token: us_listen_socket): void;
  /** False where no listening descriptor up to `limit` was found; may throw. */
  setBacklog(port: number, backlog: number, limit: number): boolean;
}

export interface ListenerOptions {
  readonly app: Pick<TemplatedApp, "listen">;
  readonly host: string;
  readonly backlog: number;
  /** Connections at which the worker stops listening. */
  readonly cap: number;
  /** Connections beyond the cap that are accepted only to be refused, where no other worker has capacity. */
  readonly overflow: number;
  readonly nofile: number;
  /** Called with true when the worker reaches its cap, with false when it has capacity again. */
  readonly onFull: (full: boolean) => void;
  readonly log: Log;
  readonly calls?: ListenCalls;
  readonly lingering?: Lingering;
}

/** The end of an overflow connection or of a lingering one need not be an event of ours, so the state is checked again. */
const OVERFLOW_CHECK_MS = 100;
const LINGERING_CHECK_MS = 1000;
const RETRY_MS = 1000;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #calls: ListenCalls;
  readonly #lingering: Lingering;
  #token: us_listen_socket | undefined;
  #port = 0;
  #held = 0;
  #full = false;
  #overflow = false;
  #stopped = false;
  #checkQueued = false;
  #nextCheck: NodeJS.Timeout | undefined;
  /** A little below the cap, so that the worker does not flap at every close. */
  readonly #resumeAt: number;
  readonly #overflowResumeAt: number;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#calls = options.calls ?? { closeListenSocket, setBacklog };
    this.#lingering = options.lingering ?? new Lingering();
    this.#resumeAt = Math.max(0, options.cap - Math.max(1, Math.min(64, Math.floor(options.cap / 50))));
    this.#overflowResumeAt = options.cap + Math.floor(options.overflow / 2);
  }

  get listening(): boolean {
    return this.#token !== undefined;
  }

  get cap(): number {
    return this.#options.cap;
  }

  /** Whether the worker holds more descriptors than its cap; the connection that is being decided on counts. */
  get isOverCap(): boolean {
    return this.#descriptors > this.#options.cap;
  }

  /** Live connections, and those that ended and may still be open. */
  get #descriptors(): number {
    return this.#held + this.#lingering.count(this.#held, this.#options.cap);
  }

  /** Listens on `port`, next to the other workers. False when the kernel refuses. */
  open(port: number): boolean {
    this.#port = port;
    const { app, host, backlog, nofile, log } = this.#options;
    app.listen(host, port, (token) => {
      if (token !== false) this.#token = token;
    });
    if (this.#token === undefined) return false;
    try {
      if (!this.#calls.setBacklog(port, backlog, nofile)) {
        log("warn", "could not enlarge the accept queue; it stays at 512");
      }
    } catch (error) {
      log("warn", "cannot call listen(2): koffi did not load; the accept queue stays at 512", { error: String(error) });
    }
    return true;
  }

  /** A descriptor was accepted. Runs inside the accept loop: closing the listening socket here takes effect at once. */
  added(): void {
    this.#held += 1;
    if (this.#descriptors >= this.#options.cap) this.#check();
  }

  /** A connection ended. `mayLinger`: after a close frame the peer decides when the descriptor becomes free. */
  removed(mayLinger = false): void {
    this.#held -= 1;
    if (mayLinger) this.#lingering.add();
    const resumeAt = this.#overflow && !this.listening ? this.#overflowResumeAt : this.#resumeAt;
    if (this.#held <= resumeAt && this.#full && !this.#checkQueued) {
      this.#checkQueued = true;
      setImmediate(() => this.#check());
    }
  }

  /** The supervisor reports whether all workers are full. */
  setOverflow(overflow: boolean): void {
    this.#overflow = overflow;
    this.#check();
  }

  #check(): void {
    this.#checkQueued = false;
    if (this.#stopped) return;
    const { cap, overflow, onFull } = this.#options;
    const descriptors = this.#descriptors;
    const full = this.#full ? descriptors > this.#resumeAt : descriptors >= cap;
    if (full !== this.#full) {
      this.#full = full;
      onFull(full);
    }
    const limit = cap + (this.#overflow ? overflow : 0);
    if (full && descriptors >= limit) this.#close();
    else if (this.#token === undefined && (!full || this.#overflow)) this.#reopen();
    if (full && this.#overflow && this.#token === undefined) this.#checkIn(OVERFLOW_CHECK_MS);
    else if (full && descriptors > this.#held) this.#checkIn(LINGERING_CHECK_MS);
  }

  #checkIn(ms: number): void {
    clearTimeout(this.#nextCheck);
    this.#nextCheck = setTimeout(() => this.#check(), ms).unref();
  }

  #reopen(): void {
    if (!this.open(this.#port)) {
      this.#options.log("error", "cannot listen again; retrying", { port: this.#port });
      this.#checkIn(RETRY_MS);
    }
  }

  #close(): void {
    // A stale token is a use after free in uWebSockets: forget it with the close.
    if (this.#token !== undefined) this.#calls.closeListenSocket(this.#token);
    this.#token = undefined;
  }

  /** Stops listening for good. */
  stop(): void {
    this.#stopped = true;
    this.#close();
  }
}
