/**
 * The WebSocket address that GET /bcall/url answers: from the X-Forwarded headers of a trusted proxy, else --public-url, else
 * from the Host header. Pure; worker only. Only texts that were checked to be a host, a path or a scheme enter the answer.
 */
import { GatewayError } from "../errors.js";
import { WEBSOCKET_PATH } from "../protocol/messages.js";

export interface AddressRequest {
  readonly host: string;
  /** The proxy's headers about the request that it received; undefined where the peer is not a trusted proxy. */
  readonly forwarded: Forwarded | undefined;
}

/** X-Forwarded-Proto, -Host and -Prefix; empty where the header is missing. */
export interface Forwarded {
  readonly proto: string;
  readonly host: string;
  readonly prefix: string;
}

const SCHEMES: Readonly<Record<string, string>> = { "": "ws", http: "ws", ws: "ws", https: "wss", wss: "wss" };

/** Throws `badRequest`, which names the malformed header. */
export function publicAddress({ host, forwarded }: AddressRequest, publicUrl: string): string {
  const given = forwarded && {
    proto: first(forwarded.proto),
    host: first(forwarded.host),
    prefix: first(forwarded.prefix),
  };
  // A scheme without the proxy's public name says less than what the operator configured.
  if (publicUrl !== "" && !given?.host) return publicUrl;
  const scheme = SCHEMES[given?.proto.toLowerCase() ?? ""];
  if (scheme === undefined) throw new GatewayError("badRequest", "X-Forwarded-Proto must be https or http");
  const name = given?.host || host;
  if (!isHost(name)) {
    throw new GatewayError("badRequest", `the ${given?.host ? "X-Forwarded-Host" : "Host"} header is no host name`);
  }
  const prefix = given?.prefix.replace(/\/+$/, "") ?? "";
  if (!/^(?:\/[\w.~%-]+)*$/.test(prefix)) {
    throw new GatewayError("badRequest", "X-Forwarded-Prefix must be a path such as /push");
  }
  return `${scheme}://${name}${prefix}${WEBSOCKET_PATH}`;
}

/** The first entry is that of the proxy nearest to the client. */
const first = (list: string): string => list.split(",", 1)[0]!.trim();

/** RFC 3986 §3.2.2 without the sub-delimiters, which no host name has: letters, digits, `-._~`, or an address in brackets. */
function isHost(text: string): boolean {
  const match = /^(?:[\w.~-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?$/.exec(text);
  return match !== null && Number(match[1] ?? 0) <= 65_535;
}
