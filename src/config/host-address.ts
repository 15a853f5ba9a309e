/**
 * Addresses on which the gateway listens, as --host and --admin-host name them: which texts are addresses, their one form, how
 * they stand in a URL, and which of them take the same connections. Pure; runs in the command line, the supervisor and the
 * processes that print an address.
 */
import { isIPv4, isIPv6 } from "node:net";

/** Every interface. `::` takes IPv4 too: uWebSockets and Node switch IPV6_V6ONLY off. */
const EVERY_IPV4 = "0.0.0.0";
const EVERY_ADDRESS = "::";

/** Without zone, and no IPv4 address in the form of IPv6: those have a form of their own. */
export const isHostAddress = (text: string): boolean =>
  isIPv4(text) || (isIPv6(text) && !text.includes("%") && !canonicalHost(text).startsWith("::ffff:"));

/** `0:0::1` is `::1`, so that equal addresses are equal texts. */
export const canonicalHost = (address: string): string =>
  isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;

/** With the brackets that an IPv6 address needs in a URL (RFC 3986 §3.2.2). */
export const urlHost = (address: string): string => (address.includes(":") ? `[${address}]` : address);

export const isEveryAddress = (address: string): boolean => address === EVERY_IPV4 || address === EVERY_ADDRESS;

/** An address at which this machine reaches what listens on `address`. */
export const reachableHost = (address: string): string => (isEveryAddress(address) ? "127.0.0.1" : address);

export const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1";

/** Whether connections to `address` also reach what listens on `wider`. */
export const covers = (wider: string, address: string): boolean =>
  wider === address || wider === EVERY_ADDRESS || (wider === EVERY_IPV4 && isIPv4(address));

/** Whether both take connections to some same address. */
export const overlap = (a: string, b: string): boolean => covers(a, b) || covers(b, a);
