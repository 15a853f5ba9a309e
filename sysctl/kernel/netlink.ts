/**
 * Encodes nf_tables messages and decodes the kernel's acknowledgements. Pure. Layouts: linux/netlink.h,
 * linux/netfilter/nfnetlink.h and nf_tables.h; headers are in host order (little-endian on every platform that Megagate
 * runs on), attribute values in network order.
 */

const HEADER_BYTES = 16;
const FAMILY_IPV4 = 2;
const SUBSYSTEM_NFTABLES = 10;
const NLMSG_ERROR = 2;
const NESTED = 0x8000;

const REQUEST = 0x1;
const ACKNOWLEDGE = 0x4;
const CREATE = 0x400;
const APPEND = 0x800;

const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const nfTables = (message: number): number => (SUBSYSTEM_NFTABLES << 8) | message;
const NEW_TABLE = nfTables(0);
const NEW_CHAIN = nfTables(3);
const NEW_RULE = nfTables(6);

const HOOK_LOCAL_IN = 1;
const POLICY_ACCEPT = 1;
const REGISTER_1 = 1;
const CT_KEY_STATE = 0;

/** One attribute: length and type, the value, padding to four bytes. */
function attribute(type: number, ...value: Buffer[]): Buffer {
  const content = Buffer.concat(value);
  const bytes = Buffer.alloc(4 + Math.ceil(content.length / 4) * 4);
  bytes.writeUInt16LE(4 + content.length, 0);
  bytes.writeUInt16LE(type, 2);
  content.copy(bytes, 4);
  return bytes;
}

const nested = (type: number, ...attributes: Buffer[]): Buffer => attribute(type | NESTED, ...attributes);
const text = (type: number, value: string): Buffer => attribute(type, Buffer.from(`${value}\0`));

function number(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return attribute(type, bytes);
}

interface Message {
  readonly type: number;
  readonly flags: number;
  /** The kernel's acknowledgement repeats it. */
  readonly sequence: number;
  readonly family: number;
  /** The subsystem in the two messages that enclose a batch; 0 in the messages between them. */
  readonly resource: number;
  readonly attributes: readonly Buffer[];
}

function encode({ type, flags, sequence, family, resource, attributes }: Message): Buffer {
  const head = Buffer.alloc(HEADER_BYTES + 4);
  const message = Buffer.concat([head, ...attributes]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  message.writeUInt8(family, 16);
  message.writeUInt16BE(resource, 18);
  return message;
}

const edge = (type: number, sequence: number): Buffer =>
  encode({ type, flags: REQUEST, sequence, family: 0, resource: SUBSYSTEM_NFTABLES, attributes: [] });

const creation = (type: number, flags: number, sequence: number, ...attributes: Buffer[]): Buffer =>
  encode({
    type,
    flags: REQUEST | ACKNOWLEDGE | CREATE | flags,
    sequence,
    family: FAMILY_IPV4,
    resource: 0,
    attributes,
  });

/** What the batch creates, in this order; the sequence number of each is its position, counted from 1. */
export const CREATED = ["table", "chain", "rule"] as const;

/**
 * A table, an input chain that accepts everything, and a rule whose single expression reads the connection's state into a
 * register and does nothing with it: that is enough for the kernel to track every connection of the namespace.
 */
export function trackingBatch(table: string, chain: string): Buffer {
  const hook = nested(4, number(1, HOOK_LOCAL_IN), number(2, 0));
  const readState = nested(1, text(1, "ct"), nested(2, number(1, REGISTER_1), number(2, CT_KEY_STATE)));
  return Buffer.concat([
    edge(BATCH_BEGIN, 0),
    creation(NEW_TABLE, 0, 1, text(1, table)),
    creation(NEW_CHAIN, 0, 2, text(1, table), text(3, chain), hook, number(5, POLICY_ACCEPT), text(7, "filter")),
    creation(NEW_RULE, APPEND, 3, text(1, table), text(2, chain), nested(4, readState)),
    edge(BATCH_END, 4),
  ]);
}

/** The acknowledgements in one datagram: the message's sequence number, and zero or a negated error number. */
export function acknowledgements(datagram: Buffer): { sequence: number; result: number }[] {
  const found = [];
  for (let at = 0; at + HEADER_BYTES + 4 <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_BYTES + 4) break;
    if (datagram.readUInt16LE(at + 4) === NLMSG_ERROR) {
      found.push({ sequence: datagram.readUInt32LE(at + 8), result: datagram.readInt32LE(at + HEADER_BYTES) });
    }
    at += Math.ceil(length / 4) * 4;
  }
  return found;
}
