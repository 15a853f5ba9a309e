/**
 * Foreign-function calls: sockets and epoll of the C library, through koffi (about 0.1 µs a call), and the few that only
 * the proof of the conntrack limit makes. load/ and sysctl/ make no others.
 * Every call returns what the kernel does: a result of zero or more, or the negated error number, so that the hot path
 * neither throws nor allocates; `errorName` turns it into "ECONNREFUSED". Runs in generators and in the proof's children.
 * It must not know WebSocket. node:net costs 3.9 KB and 0.6 ms of CPU for each connection, this 0.4 KB and 50 µs.
 */
import { isIPv6 } from "node:net";
import { constants } from "node:os";
import koffi, { type KoffiFunc } from "koffi";

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
/** Edge-triggered: one event for each arrival, no re-arming and no second report of what was already read. */
export const EPOLLET = 0x80000000;

export const { EAGAIN, EINPROGRESS, EINTR, EMFILE } = constants.errno;

const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_LINGER = 13;
const IPPROTO_IP = 0;
/** Postpones the choice of a port from bind() to connect(), so that only the four-tuple must be unique. */
const IP_BIND_ADDRESS_NO_PORT = 24;
/** Linux 6.3: a port range of one socket; it also makes the kernel's search for a port step by one, not by two. */
const IP_LOCAL_PORT_RANGE = 51;
const CLONE_NEWNET = 0x40000000;
const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const LOCK_EX_NB = 2 | 4;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const MSG_NOSIGNAL = 0x4000;
const POLLIN = 1;

// At most one call (the idle wait) runs outside the main thread; koffi's defaults keep 3 MB of stacks for each process.
koffi.config({ resident_async_pools: 1, async_stack_size: 65_536, async_heap_size: 65_536 });

const library = koffi.load(null);
/** A function of the C library, by its prototype. */
export const bindFunction = <F extends (...args: never[]) => number>(prototype: string): KoffiFunc<F> =>
  library.func(prototype) as unknown as KoffiFunc<F>;

const c = {
  socket: bindFunction<(domain: number, type: number, protocol: number) => number>("int socket(int, int, int)"),
  setsockopt: bindFunction<(fd: number, level: number, name: number, value: Buffer, length: number) => number>(
    "int setsockopt(int, int, int, void *, unsigned int)",
  ),
  getsockopt: bindFunction<(fd: number, level: number, name: number, value: Buffer, length: Buffer) => number>(
    "int getsockopt(int, int, int, void *, void *)",
  ),
  bind: bindFunction<(fd: number, address: Buffer, length: number) => number>("int bind(int, void *, unsigned int)"),
  connect: bindFunction<(fd: number, address: Buffer, length: number) => number>(
    "int connect(int, void *, unsigned int)",
  ),
  send: bindFunction<(fd: number, bytes: Buffer, length: number, flags: number) => number>(
    "intptr_t send(int, void *, size_t, int)",
  ),
  recv: bindFunction<(fd: number, bytes: Buffer, length: number, flags: number) => number>(
    "intptr_t recv(int, void *, size_t, int)",
  ),
  close: bindFunction<(fd: number) => number>("int close(int)"),
  epollCreate: bindFunction<(flags: number) => number>("int epoll_create1(int)"),
  epollCtl: bindFunction<(epoll: number, operation: number, fd: number, event: Buffer) => number>(
    "int epoll_ctl(int, int, int, void *)",
  ),
  epollWait: bindFunction<(epoll: number, events: Buffer, count: number, timeoutMs: number) => number>(
    "int epoll_wait(int, void *, int, int)",
  ),
  poll: bindFunction<(descriptors: Buffer, count: number, timeoutMs: number) => number>(
    "int poll(void *, unsigned long, int)",
  ),
  // Only the proof of the conntrack limit makes these: namespaces, netlink, listening sockets, a file lock.
  unshare: bindFunction<(flags: number) => number>("int unshare(int)"),
  ioctl: bindFunction<(fd: number, request: number, value: Buffer) => number>("int ioctl(int, unsigned long, void *)"),
  listen: bindFunction<(fd: number, backlog: number) => number>("int listen(int, int)"),
  accept: bindFunction<(fd: number, address: null, length: null, flags: number) => number>(
    "int accept4(int, void *, void *, int)",
  ),
  flock: bindFunction<(fd: number, operation: number) => number>("int flock(int, int)"),
};

/** The result, or the error number negated where it is below zero. */
export const resultOrErrno = (result: number): number => (result < 0 ? -koffi.errno() : result);

const ERROR_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
/** The name of a negated error number: −111 → "ECONNREFUSED". */
export const errorName = (result: number): string => ERROR_NAMES.get(-result) ?? `errno_${-result}`;

/** A sockaddr_in or sockaddr_in6: build it once and use it for many calls. */
export function socketAddress(address: string, port: number): Buffer {
  if (!isIPv6(address)) {
    const four = Buffer.alloc(16);
    four.writeUInt16LE(AF_INET, 0);
    four.writeUInt16BE(port, 2);
    four.set(address.split(".").map(Number), 4);
    return four;
  }
  const six = Buffer.alloc(28);
  six.writeUInt16LE(AF_INET6, 0);
  six.writeUInt16BE(port, 2);
  const [head = "", tail] = address.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  for (const [i, group] of before.entries()) six.writeUInt16BE(group, 8 + 2 * i);
  for (const [i, group] of after.entries()) six.writeUInt16BE(group, 8 + 2 * (8 - after.length + i));
  return six;
}

/** A non-blocking TCP socket of the address's family. Nagle's delay stays on: nothing here sends two small writes in a row. */
export const tcpSocket = (address: Buffer): number =>
  resultOrErrno(c.socket(address.readUInt16LE(0), SOCK_STREAM_NONBLOCK_CLOEXEC, 0));

const ONE = Buffer.from([1, 0, 0, 0]);
const range = Buffer.alloc(4);

/** Fixes the source address and leaves the port to connect(). */
export function bindSource(fd: number, source: Buffer): number {
  c.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, ONE, 4);
  return resultOrErrno(c.bind(fd, source, source.length));
}

/** Gives one socket its own port range. Before Linux 6.3 it fails, and the system's range stays in force. */
export function setPortRange(fd: number, low: number, high: number): number {
  range.writeUInt16LE(low, 0);
  range.writeUInt16LE(high, 2);
  return resultOrErrno(c.setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, range, 4));
}

const NO_LINGER = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

/** Lets close() reset the connection, as a client that vanishes does: no close handshake, no TIME_WAIT. */
export const resetOnClose = (fd: number): number =>
  resultOrErrno(c.setsockopt(fd, SOL_SOCKET, SO_LINGER, NO_LINGER, NO_LINGER.length));

export const connect = (fd: number, address: Buffer): number => resultOrErrno(c.connect(fd, address, address.length));
export const send = (fd: number, bytes: Buffer, length: number): number =>
  resultOrErrno(c.send(fd, bytes, length, MSG_NOSIGNAL));
export const receive = (fd: number, bytes: Buffer): number => resultOrErrno(c.recv(fd, bytes, bytes.length, 0));
export const closeDescriptor = (fd: number): number => resultOrErrno(c.close(fd));

const errorValue = Buffer.alloc(4);
const errorLength = Buffer.from([4, 0, 0, 0]);

/** The pending error of a socket (SO_ERROR), negated; 0 when there is none. */
export function pendingError(fd: number): number {
  const result = resultOrErrno(c.getsockopt(fd, SOL_SOCKET, SO_ERROR, errorValue, errorLength));
  return result < 0 ? result : -errorValue.readInt32LE(0);
}

/** struct epoll_event is packed on x86-64 only. */
export const EVENT_BYTES = process.arch === "x64" ? 12 : 16;
export const EVENT_DATA_AT = process.arch === "x64" ? 4 : 8;
const event = Buffer.alloc(EVENT_BYTES);

export const epollCreate = (): number => resultOrErrno(c.epollCreate(EPOLL_CLOEXEC));
export function epollAdd(epoll: number, fd: number, events: number): number {
  event.writeUInt32LE(events, 0);
  event.writeInt32LE(fd, EVENT_DATA_AT);
  return resultOrErrno(c.epollCtl(epoll, EPOLL_CTL_ADD, fd, event));
}

export const epollWait = (epoll: number, events: Buffer, timeoutMs: number): number =>
  resultOrErrno(c.epollWait(epoll, events, Math.floor(events.length / EVENT_BYTES), timeoutMs));

const pollDescriptor = Buffer.alloc(8);

/** Blocks the main thread for this time, whatever becomes ready meanwhile. */
export function sleepMs(ms: number): void {
  c.poll(pollDescriptor, 0, ms);
}

/** Waits in another thread until `epoll` has an event, and leaves the event there for epollWait. One wait at a time. */
export function pollInThread(epoll: number, timeoutMs: number, done: () => void): void {
  pollDescriptor.writeInt32LE(epoll, 0);
  pollDescriptor.writeUInt16LE(POLLIN, 4);
  c.poll.async(pollDescriptor, 1, timeoutMs, done);
}

/** Moves the calling thread into a new network namespace; children that it forks start there. */
export const unshareNetwork = (): number => resultOrErrno(c.unshare(CLONE_NEWNET));

export const datagramSocket = (): number => resultOrErrno(c.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, 0));
export const netfilterSocket = (): number =>
  resultOrErrno(c.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK_CLOEXEC, NETLINK_NETFILTER));

/** Reads (or writes) the flags at byte 16 of a struct ifreq that names an interface. */
export const readInterfaceFlags = (fd: number, request: Buffer): number =>
  resultOrErrno(c.ioctl(fd, SIOCGIFFLAGS, request));
export const writeInterfaceFlags = (fd: number, request: Buffer): number =>
  resultOrErrno(c.ioctl(fd, SIOCSIFFLAGS, request));

/** Binds and listens; other sockets may listen on the same address and port (SO_REUSEPORT). */
export function listenShared(fd: number, address: Buffer, backlog: number): number {
  for (const option of [SO_REUSEADDR, SO_REUSEPORT]) {
    const set = resultOrErrno(c.setsockopt(fd, SOL_SOCKET, option, ONE, 4));
    if (set < 0) return set;
  }
  const boundTo = resultOrErrno(c.bind(fd, address, address.length));
  return boundTo < 0 ? boundTo : resultOrErrno(c.listen(fd, backlog));
}

export const accept = (listener: number): number =>
  resultOrErrno(c.accept(listener, null, null, SOCK_NONBLOCK_CLOEXEC));

/** Locks an open file until this process ends; −EAGAIN where another process holds the lock. */
export const lockFile = (fd: number): number => resultOrErrno(c.flock(fd, LOCK_EX_NB));
