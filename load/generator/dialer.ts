/**
 * Makes sockets that connect to the target, each from the next source address. Runs in generators. It keeps no socket: the
 * descriptor belongs to connections.ts from then on.
 */
import * as libc from "../../sysctl/kernel/libc.js";
import type { GeneratorConfig } from "./messages.js";

export class Dialer {
  readonly #config: GeneratorConfig;
  readonly #target: Buffer;
  readonly #sources: readonly Buffer[];
  #begun = 0;

  constructor(config: GeneratorConfig) {
    this.#config = config;
    this.#target = libc.socketAddress(config.address, config.port);
    this.#sources = config.sources.map((address) => libc.socketAddress(address, 0));
  }

  /** Returns a descriptor below `slots` that is connecting, or a negated error number. */
  dial(slots: number): number {
    const fd = libc.tcpSocket(this.#target);
    if (fd < 0) return fd;
    const result = fd < slots ? this.#connect(fd) : -libc.EMFILE;
    if (result >= 0 || result === -libc.EINPROGRESS) return fd;
    libc.closeDescriptor(fd);
    return result;
  }

  #connect(fd: number): number {
    const { portRange } = this.#config;
    if (portRange) libc.setPortRange(fd, portRange[0], portRange[1]);
    if (this.#sources.length > 0) {
      const bound = libc.bindSource(fd, this.#sources[this.#begun++ % this.#sources.length]!);
      if (bound < 0) return bound;
    }
    return libc.connect(fd, this.#target);
  }
}
