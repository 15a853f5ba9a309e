/**
 * The server's ends: one of several listeners on the same address and port, accepting all that comes and holding it.
 * Runs in a holder.
 */

import { GatewayError } from "../../src/errors.js";
import { Poller, type Readiness } from "../kernel/epoll.js";
import { accept, EAGAIN, EPOLLIN, errorName, listenShared, socketAddress, tcpSocket } from "../kernel/libc.js";
import type { HolderConfig, HolderCounts } from "./messages.js";

/** Where the acceptors listen; the namespace is theirs alone. */
export const SERVER_ADDRESS = "127.0.0.1";
const BACKLOG = 65_535;

export class Acceptor implements Readiness {
  private readonly poller = new Poller(this);
  private readonly listener: number;
  private readonly errors: Record<string, number> = {};
  private accepted = 0;

  constructor({ port }: Extract<HolderConfig, { kind: "accept" }>) {
    const address = socketAddress(SERVER_ADDRESS, port);
    this.listener = tcpSocket(address);
    const listening = this.listener < 0 ? this.listener : listenShared(this.listener, address, BACKLOG);
    if (listening < 0) throw new GatewayError("failed", `cannot listen on port ${port}: ${errorName(listening)}`);
    this.poller.add(this.listener, EPOLLIN);
    this.poller.wake();
  }

  ready(): void {
    let fd = accept(this.listener);
    for (; fd >= 0; fd = accept(this.listener)) this.accepted++;
    if (fd !== -EAGAIN) this.errors[errorName(fd)] = (this.errors[errorName(fd)] ?? 0) + 1;
  }

  turn(): boolean {
    return false;
  }

  patienceMs(): number {
    return 0;
  }

  poll(): HolderCounts {
    return { open: this.accepted, timedOut: 0, errors: { ...this.errors }, settled: true };
  }
}
