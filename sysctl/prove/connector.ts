/**
 * The clients' ends: connects from one source address, a few at a time, until its share is open or a connect has timed
 * out; then it begins no more and lets those in flight time out too. Counts what is open now. Runs in a holder.
 */

import { Poller, type Readiness } from "../kernel/epoll.js";
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
import { SERVER_ADDRESS } from "./acceptor.js";
import type { HolderConfig, HolderCounts } from "./messages.js";

/** Begun and not yet open. Small: every one of them is a dropped SYN at the wall, and one would be proof enough. */
const IN_FLIGHT = 16;

export class Connector implements Readiness {
  private readonly poller = new Poller(this);
  private readonly server: Buffer;
  private readonly source: Buffer;
  /** Begun and not yet open, with the time of each, oldest first. */
  private readonly inFlight = new Map<number, number>();
  private readonly errors: Record<string, number> = {};
  private open = 0;
  private timedOut = 0;
  private stopped = false;

  constructor(private readonly duty: Extract<HolderConfig, { kind: "connect" }>) {
    this.server = socketAddress(SERVER_ADDRESS, duty.port);
    this.source = socketAddress(duty.source, 0);
    this.poller.wake();
  }

  turn(): boolean {
    while (!this.stopped && this.inFlight.size < IN_FLIGHT && this.open + this.inFlight.size < this.duty.connections) {
      this.begin();
    }
    return this.inFlight.size > 0;
  }

  private begin(): void {
    const fd = tcpSocket(this.server);
    if (fd < 0) {
      this.fail(fd);
      return;
    }
    let result = bindSource(fd, this.source);
    if (result >= 0) result = resetOnClose(fd);
    if (result >= 0) result = connect(fd, this.server);
    // Watched only from here on: before connect() epoll would report it as hung up.
    if (result === -EINPROGRESS) result = this.poller.add(fd, (EPOLLOUT | EPOLLET) >>> 0);
    if (result < 0) {
      closeDescriptor(fd);
      this.fail(result);
      return;
    }
    this.inFlight.set(fd, performance.now());
  }

  private fail(result: number): void {
    const name = errorName(result);
    this.errors[name] = (this.errors[name] ?? 0) + 1;
    this.stopped = true;
  }

  ready(fd: number, events: number): void {
    const broken = (events & (EPOLLERR | EPOLLHUP)) !== 0;
    const wasInFlight = this.inFlight.delete(fd);
    if (!broken) {
      if (wasInFlight) this.open++;
      return;
    }
    if (!wasInFlight) this.open--;
    this.fail(pendingError(fd));
    closeDescriptor(fd);
  }

  patienceMs(): number {
    return 0;
  }

  poll(nowMs: number): HolderCounts {
    for (const [fd, begunMs] of this.inFlight) {
      if (nowMs - begunMs < this.duty.timeoutMs) break;
      this.inFlight.delete(fd);
      closeDescriptor(fd);
      this.timedOut++;
      this.stopped = true;
    }
    const settled = this.inFlight.size === 0 && (this.stopped || this.open >= this.duty.connections);
    return { open: this.open, timedOut: this.timedOut, errors: { ...this.errors }, settled };
  }
}
