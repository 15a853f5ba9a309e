/**
 * A temporary network namespace: a child process enters it first of all, and the kernel deletes it with the last process in it.
 * No unshare or ip program is needed. Node's main thread and every child that it forks are in the namespace; file reads in
 * Node's own threads (fs.promises, callbacks) still see the old one, so /proc must be read with the Sync calls there.
 */

import { GatewayError } from "../../src/errors.js";
import {
  closeDescriptor,
  datagramSocket,
  errorName,
  readInterfaceFlags,
  unshareNetwork,
  writeInterfaceFlags,
} from "../kernel/libc.js";

const IFREQ_BYTES = 40;
const FLAGS_AT = 16;
const IFF_UP = 1;

/** Moves this process into a new network namespace with loopback up: 127.0.0.0/8 is local, nothing else is reachable. */
export function enterNewNamespace(): void {
  const entered = unshareNetwork();
  if (entered < 0) {
    const remedy =
      errorName(entered) === "EPERM"
        ? "run as root (a container needs CAP_SYS_ADMIN, and a seccomp profile that allows unshare)"
        : "this kernel has no network namespaces (CONFIG_NET_NS)";
    throw new GatewayError("refused", `cannot make a network namespace: ${errorName(entered)}; ${remedy}`);
  }
  raiseLoopback();
}

function raiseLoopback(): void {
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write("lo");
  const fd = datagramSocket();
  let result = fd < 0 ? fd : readInterfaceFlags(fd, request);
  if (result >= 0) {
    request.writeUInt16LE(request.readUInt16LE(FLAGS_AT) | IFF_UP, FLAGS_AT);
    result = writeInterfaceFlags(fd, request);
  }
  if (fd >= 0) closeDescriptor(fd);
  if (result < 0) {
    throw new GatewayError("refused", `cannot bring loopback up in the new network namespace: ${errorName(result)}`);
  }
}
