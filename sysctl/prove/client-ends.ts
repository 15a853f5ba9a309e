/**
 * The clients' ends of the proof's connections: connects from one source address, a few at a time, until its share is open or a
 * connect has timed out; then it starts no more and lets those in flight time out too. Counts the connections that are open now.
 * Runs in a holder process. It sends nothing.
 */

import { Poller, type PollerCallbacks } from "../kernel/epoll.js";
import {
  bindSource,
  closeDescriptor,
  connect,
  EINPROGRESS,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLOUT,
  errorName,
  pendingError,
  resetOnClose,
  socketAddress,
  tcpSocket,
} from "../kernel/libc.js";
import type { HolderConfig, HolderCounts } from "./messages.js";
import { SERVER_ADDRESS } from "./server-ends.js";

/** Connects in flight. Few: at the limit each of them is a dropped SYN, and one would be proof enough. */
const MAX_IN_FLIGHT = 16;

type ConnectConfig = Extract<HolderConfig, { type: "connect" }>;

export class ClientEnds implements PollerCallbacks {
  readonly #config: ConnectConfig;
  readonly #poller = new Poller(this);
  readonly #server: Buffer;
  readonly #source: Buffer;
  /** Descriptor → start time of each connect in flight, oldest first. */
  readonly #inFlight = new Map<number, number>();
  readonly #errors: Record<string, number> = {};
  #open = 0;
  #timedOut = 0;
  #stopped = false;

  constructor(config: ConnectConfig) {
    this.#config = config;
    this.#server = socketAddress(SERVER_ADDRESS, config.port);
    this.#source = socketAddress(config.source, 0);
    this.#poller.wake();
  }

  turn(): boolean {
    while (
      !this.#stopped &&
      this.#inFlight.size < MAX_IN_FLIGHT &&
      this.#open + this.#inFlight.size < this.#config.connections
    ) {
      this.#begin();
    }
    return this.#inFlight.size > 0;
  }

  #begin(): void {
    const fd = tcpSocket(this.#server);
    if (fd < 0) {
      this.#fail(fd);
      return;
    }
    let result = bindSource(fd, this.#source);
    if (result >= 0) result = resetOnClose(fd);
    if (result >= 0) result = connect(fd, this.#server);
    // Registered only now: before connect() epoll would report the socket as hung up.
    if (result === -EINPROGRESS) result = this.#poller.add(fd, (EPOLLOUT | EPOLLET) >>> 0);
    if (result < 0) {
      closeDescriptor(fd);
      this.#fail(result);
      return;
    }
    this.#inFlight.set(fd, performance.now());
  }

  #fail(result: number): void {
    const name = errorName(result);
    this.#errors[name] = (this.#errors[name] ?? 0) + 1;
    this.#stopped = true;
  }

  ready(fd: number, events: number): void {
    const broken = (events & (EPOLLERR | EPOLLHUP)) !== 0;
    const wasInFlight = this.#inFlight.delete(fd);
    if (!broken) {
      if (wasInFlight) this.#open++;
      return;
    }
    if (!wasInFlight) this.#open--;
    this.#fail(pendingError(fd));
    closeDescriptor(fd);
  }

  gatherMs(): number {
    return 0;
  }

  poll(nowMs: number): HolderCounts {
    for (const [fd, startedMs] of this.#inFlight) {
      if (nowMs - startedMs < this.#config.timeoutMs) break;
      this.#inFlight.delete(fd);
      closeDescriptor(fd);
      this.#timedOut++;
      this.#stopped = true;
    }
    const settled = this.#inFlight.size === 0 && (this.#stopped || this.#open >= this.#config.connections);
    return { open: this.#open, timedOut: this.#timedOut, errors: { ...this.#errors }, settled };
  }
}
