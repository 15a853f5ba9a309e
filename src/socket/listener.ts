/**
 * When this worker listens. It shares the public port with its siblings (SO_REUSEPORT); at its cap it leaves the group,
 * so that the kernel sends new connections to workers with room, and comes back when it has room again. Where no other
 * has room the supervisor lets it listen a little beyond (`overflow`), so that clients are told 503 instead of
 * being refused by the kernel. Counts every accepted descriptor, upgraded or not: at the descriptor limit uWebSockets
 * would spin at 100 % (KERNEL.md §3.2).
 */
import type { Log } from "../log.js";
import { setBacklog } from "./backlog.js";
import { Lingering } from "./lingering.js";
import { closeListenSocket, type TemplatedApp, type us_listen_socket } from "./native.js";

export interface ListenerOptions {
  readonly host: string;
  readonly backlog: number;
  /** Connections at which it stops listening. */
  readonly cap: number;
  /** Connections beyond the cap that are taken to be refused, where no other worker has room. */
  readonly overflow: number;
  readonly nofile: number;
  /** Told when the worker reaches its cap (true) and when it has room again (false). */
  readonly onFull: (full: boolean) => void;
  readonly log: Log;
}

export class Listener {
  #token: us_listen_socket | undefined;
  #port = 0;
  #held = 0;
  readonly #lingering = new Lingering();
  #full = false;
  #overflow = false;
  #stopped = false;
  #checkQueued = false;
  #nextCheck: NodeJS.Timeout | undefined;
  /** Some room below the cap before it listens again, so that it does not flap at every close. */
  readonly #resumeAt: number;
  readonly #overflowResumeAt: number;

  constructor(
    private readonly app: TemplatedApp,
    private readonly options: ListenerOptions,
  ) {
    this.#resumeAt = Math.max(0, options.cap - Math.max(1, Math.min(64, Math.floor(options.cap / 50))));
    this.#overflowResumeAt = options.cap + Math.floor(options.overflow / 2);
  }

  get listening(): boolean {
    return this.#token !== undefined;
  }

  /** Whether more descriptors are held than the cap has room for, the one that asks included. */
  get crowded(): boolean {
    return this.#descriptors > this.options.cap;
  }

  get cap(): number {
    return this.options.cap;
  }

  /** Listens on `port`, beside its siblings. False when the kernel refuses. */
  open(port: number): boolean {
    this.#port = port;
    this.app.listen(this.options.host, port, (token) => {
      if (token !== false) this.#token = token;
    });
    if (this.#token === undefined) return false;
    try {
      if (!setBacklog(this.#port, this.options.backlog, this.options.nofile)) {
        this.options.log("warn", "could not enlarge the accept queue; it stays at 512");
      }
    } catch (error) {
      this.options.log("warn", "no foreign calls here; the accept queue stays at 512", { error: String(error) });
    }
    return true;
  }

  /** A descriptor was accepted. Runs inside the accept loop: leaving the group here takes effect at once. */
  added(): void {
    this.#held += 1;
    if (this.#descriptors >= this.options.cap) this.#check();
  }

  /** Held, and those that ended and may be open still. */
  get #descriptors(): number {
    return this.#held + this.#lingering.count(this.#held, this.options.cap);
  }

  /** A connection ended. `mayLinger`: after a close frame the peer decides when the descriptor is free. */
  removed(mayLinger = false): void {
    this.#held -= 1;
    if (mayLinger) this.#lingering.add();
    const enough = this.#overflow && !this.listening ? this.#overflowResumeAt : this.#resumeAt;
    if (this.#held <= enough && this.#full && !this.#checkQueued) {
      this.#checkQueued = true;
      setImmediate(() => this.#check());
    }
  }

  /** The supervisor's word on whether no sibling has room. */
  setOverflow(overflow: boolean): void {
    this.#overflow = overflow;
    this.#check();
  }

  #check(): void {
    this.#checkQueued = false;
    if (this.#stopped) return;
    const held = this.#descriptors;
    const full = this.#full ? held > this.#resumeAt : held >= this.options.cap;
    if (full !== this.#full) {
      this.#full = full;
      this.options.onFull(full);
    }
    const limit = this.options.cap + (this.#overflow ? this.options.overflow : 0);
    if (full && held >= limit) this.#close();
    else if (this.#token === undefined && (!full || this.#overflow)) this.#reopen();
    // Overflow connections are short: look again soon, for their end is not always an event of ours.
    if (full && this.#overflow && this.#token === undefined) this.#checkIn(100);
    // Neither is the end of one that lingers.
    else if (full && held > this.#held) this.#checkIn(1000);
  }

  #checkIn(ms: number): void {
    clearTimeout(this.#nextCheck);
    this.#nextCheck = setTimeout(() => this.#check(), ms).unref();
  }

  #reopen(): void {
    if (!this.open(this.#port)) {
      this.options.log("error", "cannot listen again; retrying", { port: this.#port });
      this.#checkIn(1000);
    }
  }

  #close(): void {
    // A stale token is a use after free in uWebSockets: forget it with the close.
    if (this.#token !== undefined) closeListenSocket(this.#token);
    this.#token = undefined;
  }

  /** For good. */
  stop(): void {
    this.#stopped = true;
    this.#close();
  }
}
