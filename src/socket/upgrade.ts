/**
 * Accepts or refuses a handshake by its headers and its query. Pure; admission/ decides whether the worker has capacity.
 * uWebSockets checks neither the version nor the topics, and routes handshakes without a valid key to plain HTTP
 * (src/README.md fact 17), so both paths are decided here.
 */
import { refuseBadToken } from "../admission/authentication.js";
import type { Refusal } from "../admission/refusal.js";
import { GatewayError } from "../errors.js";
import { parseUrlTopic, SUBPROTOCOL, type SubscribeRequest } from "../protocol/messages.js";
import { TOPIC_RULE } from "../topics/name.js";

export interface Handshake {
  readonly version: string;
  readonly protocols: string;
  /** All lines of the header; undefined where clients are not authenticated, and tokens not looked at. */
  readonly authorization: string | undefined;
  /** The raw query, behind the `?`: uWebSockets decodes malformed escapes to other texts, or to none. */
  readonly query: string;
}

export interface Accepted {
  readonly topics: readonly SubscribeRequest[];
  /** Sub-protocol to select; empty for none. */
  readonly protocol: string;
  /** Not verified yet. */
  readonly token: string | undefined;
}

/** Every 426 must name the protocol (RFC 9110 §15.5.22). */
const UPGRADE_HEADER = { Upgrade: "websocket" } as const;

const NO_TOPICS: readonly SubscribeRequest[] = [];

/** Decides on a request that uWebSockets recognised as a handshake. */
export function decideUpgrade(handshake: Handshake, maxTopics: number): Accepted | Refusal {
  if (handshake.version !== "13") {
    const headers = { ...UPGRADE_HEADER, "Sec-WebSocket-Version": "13" };
    return { reason: "bad_version", error: new GatewayError("badVersion"), headers };
  }
  const offered = handshake.protocols.split(",", 16).map((name) => name.trim());
  const protocol = offered.includes(SUBPROTOCOL) ? SUBPROTOCOL : "";
  const token = handshake.authorization === undefined ? undefined : tokenOf(handshake.authorization, offered);
  if (typeof token === "object") return token;
  const entries = parseTopicEntries(handshake.query);
  if (!entries)
    return badTopic("topics: % must be followed by two hexadecimal digits, and the decoded bytes must be UTF-8");
  if (entries.length === 0) return { topics: NO_TOPICS, protocol, token };
  const requests = entries.map(parseUrlTopic);
  const topics = [...new Map(requests.map((request) => [request?.topic, request])).values()];
  if (topics.length > maxTopics) {
    return { reason: "bad_topic", error: new GatewayError("tooManyTopics", `topics: at most ${maxTopics}`) };
  }
  if (!topics.every((request) => request !== undefined)) {
    return badTopic(`topics: names joined by commas, each with @EPOCH:OFFSET if wanted; ${TOPIC_RULE}`);
  }
  return { topics, protocol, token };
}

/** How a browser, which cannot set headers, sends a token: one sub-protocol more, which is never answered. */
const BEARER_PROTOCOL = "bearer.";

/** The one token of a handshake, from its Authorization header (RFC 6750 §2.1) or its sub-protocols; never from the URL. */
function tokenOf(authorization: string, offered: readonly string[]): string | undefined | Refusal {
  const tokens = offered.flatMap((name) =>
    name.startsWith(BEARER_PROTOCOL) ? [name.slice(BEARER_PROTOCOL.length)] : [],
  );
  // A browser fails a handshake whose answer selects none of its protocols.
  if (tokens.length > 0 && !offered.includes(SUBPROTOCOL)) return refuseBadToken("unclearSource");
  // Another scheme is for somebody on the way.
  if (/(?:^|,) *bearer(?: |,|$)/i.test(authorization)) {
    const [, token] = /^bearer +([^ ,]+) *$/i.exec(authorization) ?? [];
    if (token === undefined) return refuseBadToken("unclearSource");
    tokens.push(token);
  }
  return tokens.length > 1 ? refuseBadToken("unclearSource") : tokens[0];
}

const badTopic = (detail: string): Refusal => ({ reason: "bad_topic", error: new GatewayError("badTopic", detail) });

/** The entries of all `topics=` fields of the query together; undefined where one is malformed. */
function parseTopicEntries(query: string): string[] | undefined {
  const entries: string[] = [];
  for (const field of query.split("&")) {
    const [name = "", ...value] = field.split("=");
    if (percentDecoded(name) !== "topics") continue;
    const text = percentDecoded(value.join("="));
    if (text === undefined) return undefined;
    if (text !== "") entries.push(...text.split(","));
  }
  return entries;
}

/** Percent-decoded (RFC 3986 §2.1); undefined where an escape is malformed. */
function percentDecoded(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Refuses plain HTTP on the WebSocket path: no upgrade was asked for, or the handshake is malformed. */
export function refusePlain(request: { upgrade: string; method: string }): Refusal {
  if (request.upgrade.toLowerCase() !== "websocket") {
    return { reason: "not_upgrade", error: new GatewayError("upgradeRequired"), headers: UPGRADE_HEADER };
  }
  const detail =
    request.method === "get"
      ? "malformed WebSocket handshake: Sec-WebSocket-Key must be 16 bytes in base64"
      : "malformed WebSocket handshake: the method must be GET";
  return { reason: "bad_handshake", error: new GatewayError("badHandshake", detail) };
}
