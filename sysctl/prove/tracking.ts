/**
 * Makes connection tracking live in the present network namespace, as a firewall, Docker or kube-proxy would: with one netlink
 * batch, without any firewall program. The rule only reads the connection's state and blocks nothing. It is deleted with the
 * namespace; in a permanent namespace it stays until somebody deletes the table `megagate_prove`.
 */

import { GatewayError } from "../../src/errors.js";
import { closeDescriptor, EAGAIN, errorName, netfilterSocket, receive, send } from "../kernel/libc.js";
import { acknowledgements, CREATED, trackingBatch } from "../kernel/netlink.js";

const TABLE = "megagate_prove";
const CHAIN = "arrivals";
/** Maximum size of a datagram of acknowledgements; each has 36 bytes and the message that it acknowledges. */
const ANSWER_BYTES = 8192;

/** Throws `refused` where it is impossible: without nf_tables, without conntrack, or without CAP_NET_ADMIN. */
export function trackConnections(): void {
  const fd = netfilterSocket();
  if (fd < 0) throw cannot(`no netfilter socket (${errorName(fd)}): this kernel is built without it`);
  try {
    const batch = trackingBatch(TABLE, CHAIN);
    const sent = send(fd, batch, batch.length);
    if (sent < 0) throw cannot(`the rule could not be sent (${errorName(sent)})`);
    readAnswers(fd);
  } finally {
    closeDescriptor(fd);
  }
}

/** The kernel processes a batch inside send(), so that all acknowledgements are there already. */
function readAnswers(fd: number): void {
  const missing = new Set<number>(CREATED.keys());
  const bytes = Buffer.alloc(ANSWER_BYTES);
  for (let got = receive(fd, bytes); got !== -EAGAIN; got = receive(fd, bytes)) {
    if (got < 0) throw cannot(`no answer from the kernel (${errorName(got)})`);
    for (const { sequence, result } of acknowledgements(bytes.subarray(0, got))) {
      if (result < 0) throw cannot(`${CREATED[sequence - 1] ?? "batch"} refused with ${errorName(result)}`);
      missing.delete(sequence - 1);
    }
  }
  const silent = CREATED.filter((_, i) => missing.has(i));
  if (silent.length > 0) throw cannot(`the kernel did not acknowledge the ${silent.join(", ")}`);
}

const cannot = (why: string): GatewayError =>
  new GatewayError(
    "refused",
    `cannot make connection tracking live: ${why}. It takes root and a kernel with nf_tables and its ct expression ` +
      "(modprobe nf_tables nft_ct nf_conntrack)",
  );
