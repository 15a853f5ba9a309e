/**
 * The epoll loop: registers descriptors, waits, and reports which are ready. Runs in load generators and in the proof's children.
 * While events are expected, it waits inside epoll_wait on the main thread for a few milliseconds at most and yields to Node's
 * loop between turns, so that messages of the parent process get through. While none is expected, it waits in another thread,
 * which costs no CPU: some fifty such processes share two cores. It must not spin, and knows nothing of WebSocket.
 */
import {
  EINTR,
  EVENT_BYTES,
  EVENT_DATA_AT,
  epollAdd,
  epollCreate,
  epollWait,
  errorName,
  pollInThread,
  sleepMs,
} from "./libc.js";

/** Events taken by one epoll_wait: 512 × 12 bytes stay in the nearest cache. */
const EVENTS_PER_WAIT = 512;
/** Batches taken before Node's own loop gets its turn. */
const WAITS_PER_TURN = 4;
/** The longest wait on the main thread, and so the longest delay of a parent's message while sockets are expected. */
const BUSY_WAIT_MS = 5;
/** Empty waits until the loop counts as idle: events come in bursts, and waiting in the thread costs two context switches. */
const EMPTY_WAITS = 4;
/** The idle wait ends by itself after this time, so that a lost wake-up costs seconds and not the whole run. */
const IDLE_WAIT_MS = 10_000;

/** A turn that took this many events was worth the wake-up: it does not wait for more. */
const FULL_BURST = 128;

export interface PollerCallbacks {
  /** A descriptor is ready; `events` are epoll's bits. */
  ready(fd: number, events: number): void;
  /** Called once a turn, before waiting; true while answers are expected soon. */
  turn(): boolean;
  /** How long to sleep after a small burst, so that more arrivals gather; below 1 for not at all. */
  gatherMs(): number;
}

export class Poller {
  readonly #callbacks: PollerCallbacks;
  readonly #epoll = epollCreate();
  readonly #events = Buffer.alloc(EVENTS_PER_WAIT * EVENT_BYTES);
  #waitsInThread = false;
  #scheduled = false;
  #emptyWaits = 0;

  constructor(callbacks: PollerCallbacks) {
    this.#callbacks = callbacks;
    if (this.#epoll < 0) throw new Error(`epoll_create1 failed: ${errorName(this.#epoll)}`);
  }

  /** Zero, or a negated error number. */
  add(fd: number, events: number): number {
    return epollAdd(this.#epoll, fd, events);
  }

  /** Schedules a turn; call it when the callbacks have new work. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    const expecting = this.#callbacks.turn();
    let took = this.#take(0);
    for (let i = 1; took === EVENTS_PER_WAIT && i < WAITS_PER_TURN; i++) took = this.#take(0);
    if (took === 0 && (expecting || this.#emptyWaits < EMPTY_WAITS)) took = this.#take(BUSY_WAIT_MS);
    this.#emptyWaits = took > 0 ? 0 : this.#emptyWaits + 1;
    if (took > 0 && took < FULL_BURST) this.#gather();
    if (expecting || this.#emptyWaits < EMPTY_WAITS) this.wake();
    else this.#waitIdle();
  };

  /**
   * While messages pour in, a wake-up for every few of them costs more than reading them: 200,000 deliveries took 2.2 s
   * without this sleep and 1.3 s with it, on two cores shared with 53 workers.
   */
  #gather(): void {
    const ms = Math.floor(this.#callbacks.gatherMs());
    if (ms >= 1) sleepMs(ms);
  }

  #take(timeoutMs: number): number {
    const count = epollWait(this.#epoll, this.#events, timeoutMs);
    if (count < 0) {
      if (count === -EINTR) return 0;
      throw new Error(`epoll_wait failed: ${errorName(count)}`);
    }
    for (let i = 0, at = 0; i < count; i++, at += EVENT_BYTES) {
      this.#callbacks.ready(this.#events.readInt32LE(at + EVENT_DATA_AT), this.#events.readUInt32LE(at));
    }
    return count;
  }

  #waitIdle(): void {
    if (this.#waitsInThread) return;
    this.#waitsInThread = true;
    pollInThread(this.#epoll, IDLE_WAIT_MS, () => {
      this.#waitsInThread = false;
      this.wake();
    });
  }
}
