/**
 * The WebSocket address that GET /bcall/url answers: as a trusted proxy describes it, else --public-url, else built from the
 * Host header. Pure; worker only. What it puts into an answer has been checked to be a host, a path or a scheme.
 */
import { GatewayError } from "../errors.js";
import { WEBSOCKET_PATH } from "../protocol/messages.js";

export interface AddressRequest {
  readonly host: string;
  /** What the proxy says of the request as it got it; undefined where the peer is no trusted proxy. */
  readonly forwarded: Forwarded | undefined;
}

/** X-Forwarded-Proto, -Host and -Prefix; empty where it gives none. */
export interface Forwarded {
  readonly proto: string;
  readonly host: string;
  readonly prefix: string;
}

const SCHEMES: Readonly<Record<string, string>> = { "": "ws", http: "ws", ws: "ws", https: "wss", wss: "wss" };

/** Throws `badRequest` naming the header that cannot be right. */
export function publicAddress({ host, forwarded }: AddressRequest, publicUrl: string): string {
  const given = forwarded && {
    proto: first(forwarded.proto),
    host: first(forwarded.host),
    prefix: first(forwarded.prefix),
  };
  // Without the name by which clients know the proxy, its scheme alone is less than what the operator said.
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

/** Of several proxies, the one that the client talked to wrote first. */
const first = (list: string): string => list.split(",", 1)[0]!.trim();

/** RFC 3986 §3.2.2, but for the punctuation that no name has: letters, digits, `-`, `.`, `_`, `~`, or an address in brackets. */
function isHost(text: string): boolean {
  const match = /^(?:[\w.~-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?$/.exec(text);
  return match !== null && Number(match[1] ?? 0) <= 65_535;
}
