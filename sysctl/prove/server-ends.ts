/**
 * The server's ends of the proof's connections: one of several listeners on the same address and port, which accepts and holds
 * every connection. Runs in a holder process. It reads and writes nothing on the connections.
 */

import { GatewayError } from "../../src/errors.js";
import { Poller, type PollerCallbacks } from "../kernel/epoll.js";
import { accept, EAGAIN, EPOLLIN, errorName, listenShared, socketAddress, tcpSocket } from "../kernel/libc.js";
import type { HolderConfig, HolderCounts } from "./messages.js";

/** Where the servers listen; no other program is in their network namespace. */
export const SERVER_ADDRESS = "127.0.0.1";
const BACKLOG = 65_535;

export class ServerEnds implements PollerCallbacks {
  readonly #poller = new Poller(this);
  readonly #listener: number;
  readonly #errors: Record<string, number> = {};
  #accepted = 0;

  constructor({ port }: Extract<HolderConfig, { type: "accept" }>) {
    const address = socketAddress(SERVER_ADDRESS, port);
    this.#listener = tcpSocket(address);
    const listening = this.#listener < 0 ? this.#listener : listenShared(this.#listener, address, BACKLOG);
    if (listening < 0) throw new GatewayError("failed", `cannot listen on port ${port}: ${errorName(listening)}`);
    this.#poller.add(this.#listener, EPOLLIN);
    this.#poller.wake();
  }

  ready(): void {
    let fd = accept(this.#listener);
    for (; fd >= 0; fd = accept(this.#listener)) this.#accepted++;
    if (fd !== -EAGAIN) this.#errors[errorName(fd)] = (this.#errors[errorName(fd)] ?? 0) + 1;
  }

  turn(): boolean {
    return false;
  }

  gatherMs(): number {
    return 0;
  }

  poll(): HolderCounts {
    return { open: this.#accepted, timedOut: 0, errors: { ...this.#errors }, settled: true };
  }
}
