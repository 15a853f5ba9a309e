/**
 * The C library's calls that only the proof needs: namespaces, netlink, listening sockets, a file lock. Sockets and epoll
 * are sysctl/kernel/libc.ts's, and so is the convention: a result of zero or more, or the error number negated.
 * Runs in the proof's children and in its keeper, never in the command line.
 */
import { answer, bound } from "./libc.js";

const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_LINGER = 13;
const SO_REUSEPORT = 15;
const LOCK_EX_NB = 2 | 4;

const c = {
  unshare: bound<(flags: number) => number>("int unshare(int)"),
  ioctl: bound<(fd: number, request: number, value: Buffer) => number>("int ioctl(int, unsigned long, void *)"),
  socket: bound<(domain: number, type: number, protocol: number) => number>("int socket(int, int, int)"),
  setsockopt: bound<(fd: number, level: number, name: number, value: Buffer, length: number) => number>(
    "int setsockopt(int, int, int, void *, unsigned int)",
  ),
  bind: bound<(fd: number, address: Buffer, length: number) => number>("int bind(int, void *, unsigned int)"),
  listen: bound<(fd: number, backlog: number) => number>("int listen(int, int)"),
  accept: bound<(fd: number, address: null, length: null, flags: number) => number>(
    "int accept4(int, void *, void *, int)",
  ),
  flock: bound<(fd: number, operation: number) => number>("int flock(int, int)"),
};

/** Moves the calling thread into a new network namespace; what it forks is born there. */
export const unshareNetwork = (): number => answer(c.unshare(CLONE_NEWNET));

export const datagramSocket = (): number => answer(c.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, 0));
export const netfilterSocket = (): number =>
  answer(c.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK_CLOEXEC, NETLINK_NETFILTER));

/** Reads, or writes, the flags at byte 16 of a struct ifreq that names an interface. */
export const readInterfaceFlags = (fd: number, request: Buffer): number => answer(c.ioctl(fd, SIOCGIFFLAGS, request));
export const writeInterfaceFlags = (fd: number, request: Buffer): number => answer(c.ioctl(fd, SIOCSIFFLAGS, request));

const ONE = Buffer.from([1, 0, 0, 0]);

/** Binds and listens, beside others on the same address and port. */
export function listenShared(fd: number, address: Buffer, backlog: number): number {
  for (const option of [SO_REUSEADDR, SO_REUSEPORT]) {
    const set = answer(c.setsockopt(fd, SOL_SOCKET, option, ONE, 4));
    if (set < 0) return set;
  }
  const boundTo = answer(c.bind(fd, address, address.length));
  return boundTo < 0 ? boundTo : answer(c.listen(fd, backlog));
}

export const accept = (listener: number): number => answer(c.accept(listener, null, null, SOCK_NONBLOCK_CLOEXEC));

const LINGER_NOT = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

/** Makes close(), and the end of the process, reset the connection: nothing stays behind in FIN-WAIT or TIME-WAIT. */
export const resetOnClose = (fd: number): number => answer(c.setsockopt(fd, SOL_SOCKET, SO_LINGER, LINGER_NOT, 8));

/** Takes the lock of an open file, for as long as this process lives; −EAGAIN where another has it. */
export const lockFile = (fd: number): number => answer(c.flock(fd, LOCK_EX_NB));
