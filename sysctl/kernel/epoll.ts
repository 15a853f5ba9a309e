/**
 * The epoll loop: register, wait, hand out readiness; knows nothing of WebSocket. Runs in generators.
 * While work is expected it waits inside epoll_wait on the main thread, a few milliseconds at most, and yields to Node's
 * loop between turns so that orders from the coordinator get through. With nothing expected it waits on a thread beside,
 * which costs no CPU: some fifty such processes share two cores. It must not spin.
 */
import { EINTR, EVENT_BYTES, EVENT_DATA_AT, epollAdd, epollCreate, epollWait, pollInThread, sleepMs } from "./libc.js";

/** Events taken by one epoll_wait: 512 × 12 bytes stay in the nearest cache. */
const EVENTS_PER_WAIT = 512;
/** Batches taken before Node's own loop gets its turn. */
const WAITS_PER_TURN = 4;
/** The longest wait on the main thread: the delay of an order while sockets are awaited. */
const BUSY_WAIT_MS = 5;
/** Empty waits before it is idle: events come in flocks, and handing the wait to a thread and back costs two switches. */
const EMPTY_WAITS = 4;
/** The idle wait ends by itself now and then, so that a lost wake-up costs seconds and not the run. */
const IDLE_WAIT_MS = 10_000;

/** A turn that took this many needs no larger flock. */
const FLOCK = 128;

export interface Readiness {
  /** A descriptor is ready; `events` are epoll's bits. */
  ready(fd: number, events: number): void;
  /** Called once a turn, before waiting; true while answers are expected soon. */
  turn(): boolean;
  /** How long arrivals may gather before they are looked at; below 1 for not at all. */
  patienceMs(): number;
}

export class Poller {
  private readonly epoll = epollCreate();
  private readonly events = Buffer.alloc(EVENTS_PER_WAIT * EVENT_BYTES);
  private waitingBeside = false;
  private scheduled = false;
  private emptyWaits = 0;

  constructor(private readonly readiness: Readiness) {
    if (this.epoll < 0) throw new Error(`epoll_create1 failed: ${this.epoll}`);
  }

  /** Zero, or a negated error number. */
  add(fd: number, events: number): number {
    return epollAdd(this.epoll, fd, events);
  }

  /** Runs a turn soon: to be called when there is something new to do. */
  wake(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.turn);
  }

  private readonly turn = (): void => {
    this.scheduled = false;
    const expecting = this.readiness.turn();
    let took = this.take(0);
    for (let i = 1; took === EVENTS_PER_WAIT && i < WAITS_PER_TURN; i++) took = this.take(0);
    if (took === 0 && (expecting || this.emptyWaits < EMPTY_WAITS)) took = this.take(BUSY_WAIT_MS);
    this.emptyWaits = took > 0 ? 0 : this.emptyWaits + 1;
    if (took > 0 && took < FLOCK) this.gather();
    if (expecting || this.emptyWaits < EMPTY_WAITS) this.wake();
    else this.waitIdle();
  };

  /**
   * In a flood, being woken for every few arrivals costs more than reading them: 200,000 deliveries took 2.2 s without
   * this and 1.3 s with it, on two cores shared with 53 workers.
   */
  private gather(): void {
    const ms = Math.floor(this.readiness.patienceMs());
    if (ms >= 1) sleepMs(ms);
  }

  private take(timeoutMs: number): number {
    const count = epollWait(this.epoll, this.events, timeoutMs);
    if (count < 0) {
      if (count === -EINTR) return 0;
      throw new Error(`epoll_wait failed: ${count}`);
    }
    for (let i = 0, at = 0; i < count; i++, at += EVENT_BYTES) {
      this.readiness.ready(this.events.readInt32LE(at + EVENT_DATA_AT), this.events.readUInt32LE(at));
    }
    return count;
  }

  private waitIdle(): void {
    if (this.waitingBeside) return;
    this.waitingBeside = true;
    pollInThread(this.epoll, IDLE_WAIT_MS, () => {
      this.waitingBeside = false;
      this.wake();
    });
  }
}
