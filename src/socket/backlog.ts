/**
 * Calls listen(2) a second time on uWebSockets' listening descriptor, because its backlog of 512 is hard-coded: a burst
 * of 12,000 connects then took 0.31 s instead of 5.1 s (src/README.md fact 3). uWebSockets does not expose the descriptor,
 * so this file asks the kernel which descriptor of the process listens on the port. Worker only; where koffi cannot be
 * loaded, the gateway works with a backlog of 512.
 */
import { createRequire } from "node:module";

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const SOCKADDR_BYTES = 128;

interface Libc {
  listen(fd: number, backlog: number): number;
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Buffer): number;
  getsockname(fd: number, address: Buffer, length: Buffer): number;
}

let libc: Libc | undefined;

function loadLibc(): Libc {
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  const self = koffi.load(null);
  return {
    listen: self.func("int listen(int, int)"),
    getsockopt: self.func("int getsockopt(int, int, int, void *, void *)"),
    getsockname: self.func("int getsockname(int, void *, void *)"),
  };
}

/**
 * True if a listening descriptor of this process on `port` now has the backlog. Descriptors up to `limit` are searched.
 * Throws where koffi cannot be loaded.
 */
export function setBacklog(port: number, backlog: number, limit: number): boolean {
  libc ??= loadLibc();
  const fd = findListener(libc, port, limit);
  return fd !== undefined && libc.listen(fd, backlog) === 0;
}

function findListener(c: Libc, port: number, limit: number): number | undefined {
  const value = Buffer.alloc(4);
  const address = Buffer.alloc(SOCKADDR_BYTES);
  const length = Buffer.alloc(4);
  for (let fd = 3; fd < limit; fd++) {
    length.writeUInt32LE(4);
    if (c.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, value, length) !== 0 || value.readInt32LE() === 0) continue;
    length.writeUInt32LE(SOCKADDR_BYTES);
    // sockaddr_in and sockaddr_in6 alike: u16 family, u16 port in network order.
    if (c.getsockname(fd, address, length) === 0 && address.readUInt16BE(2) === port) return fd;
  }
  return undefined;
}
