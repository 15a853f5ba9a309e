/**
 * The address of a client: the peer of its TCP connection, or, where the peer is a proxy named in --trusted-proxies, the
 * address that the proxy gives in X-Forwarded-For. The only file that decides this; everything that limits or logs an
 * address asks here. Pure: texts in, texts out. Runs in workers, once a handshake, and in the command line, which checks
 * the option.
 */
import { BlockList, isIP, isIPv4 } from "node:net";

export interface ClientAddress {
  readonly address: string;
  /** The peer is a trusted proxy, so its X-Forwarded-… headers may be believed. */
  readonly viaProxy: boolean;
}

interface Network {
  readonly address: string;
  readonly bits: number;
}

/** Of the prefix `::ffff:`, within which IPv6 carries IPv4. */
const WRAP_BITS = 96;

/** Addresses and networks: `127.0.0.1, 10.0.0.0/8, fd00::/8`. */
export class TrustedProxies {
  readonly isEmpty: boolean;
  readonly #list = new BlockList();

  /** Throws where an entry of `list` is invalid (isProxyList). */
  constructor(list: string) {
    const entries = entriesOf(list);
    this.isEmpty = entries.length === 0;
    for (const entry of entries) {
      const network = unwrapped(networkOf(entry));
      if (!network) throw new Error(`not an address or network: ${entry}`);
      this.#list.addSubnet(network.address, network.bits, isIPv4(network.address) ? "ipv4" : "ipv6");
    }
  }

  trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? "ipv4" : "ipv6");
  }
}

export const isProxyList = (list: string): boolean =>
  entriesOf(list).length > 0 && entriesOf(list).every((entry) => networkOf(entry) !== undefined);

const entriesOf = (list: string): string[] => (list.trim() === "" ? [] : list.split(",").map((entry) => entry.trim()));

/** `::ffff:10.0.0.0/104` is 10.0.0.0/8: addresses are compared in one form. */
function unwrapped(network: Network | undefined): Network | undefined {
  const address = network && canonicalAddress(network.address);
  return network && address !== undefined && isIPv4(address) && !isIPv4(network.address) && network.bits >= WRAP_BITS
    ? { address, bits: network.bits - WRAP_BITS }
    : network;
}

function networkOf(entry: string): Network | undefined {
  const [address = "", mask, more] = entry.split("/");
  const max = { 4: 32, 6: 128 }[isIP(address)];
  if (max === undefined || more !== undefined) return undefined;
  if (mask === undefined) return { address, bits: max };
  const bits = /^\d{1,3}$/.test(mask) ? Number(mask) : Number.NaN;
  return bits <= max ? { address, bits } : undefined;
}

/**
 * The client of a connection. `forwardedFor` returns all lines of X-Forwarded-For, joined by commas, and is called only
 * where the peer is trusted. The list is read from its end, where the nearest proxy wrote, as long as each writer is
 * trusted: the client may have sent all earlier entries itself.
 */
export function clientAddress(ofSocket: string, forwardedFor: () => string, proxies: TrustedProxies): ClientAddress {
  const peer = canonicalAddress(ofSocket) ?? ofSocket;
  if (proxies.isEmpty || !proxies.trusts(peer)) return { address: peer, viaProxy: false };
  let address = peer;
  const hops = forwardedFor().split(",");
  for (let hop = hops.pop(); hop !== undefined && proxies.trusts(address); hop = hops.pop()) {
    const known = addressOf(hop);
    // "unknown" or malformed: no address beyond this proxy is known.
    if (known === undefined) break;
    address = known;
  }
  return { address, viaProxy: true };
}

/** One entry in canonical form: some proxies add a port. */
function addressOf(entry: string): string | undefined {
  const text = entry.trim();
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^([\d.]+):\d+$/, "$1");
  return canonicalAddress(bare);
}

/**
 * One text for each address, undefined for what is none: uWebSockets writes IPv6 in full, people write it short, and a
 * socket that takes both families knows an IPv4 client as `::ffff:192.0.2.1`.
 */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (isIP(text) !== 6 || text.includes("%")) return undefined;
  const address = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(address) ?? [];
  if (high === undefined || low === undefined) return address;
  return [high, low].flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]).join(".");
}
