/**
 * `megagate.v1` as text: parses client messages into requests and encodes replies and events. Pure; knows no sockets and no
 * topics. megagate.v1.md, next to this file, is the specification for client authors.
 */
import { GatewayError } from "../errors.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";
import type { Position } from "../topics/publication.js";
import { SharedMessage } from "./shared-message.js";

/** Selected as the WebSocket sub-protocol when a client offers it. */
export const SUBPROTOCOL = "megagate.v1";

/** The reply repeats it unchanged, so that a client can match the two. */
export type RequestId = string | number | undefined;

/** A request to follow a topic: Subscribe, Query, or an entry of the URL. */
export interface SubscribeRequest {
  readonly topic: string;
  readonly id?: RequestId;
  /** The client has everything up to here. */
  readonly since?: Position | undefined;
  /** Query only: the answer repeats the action and always carries the state. */
  readonly action?: string;
}

export type ClientRequest =
  | { readonly type: "heartbeat"; readonly id: RequestId }
  | { readonly type: "subscribe"; readonly request: SubscribeRequest }
  | { readonly type: "unsubscribe"; readonly topic: string; readonly id: RequestId };

/** The fields of a request that its refusal repeats. `topic`: a topic of the URL has no id by which a client could match it. */
export interface RequestName {
  readonly reqtype?: string | undefined;
  readonly id?: RequestId;
  readonly topic?: string | undefined;
}

/** A request that is malformed or unknown. */
export class BadRequest extends GatewayError {
  constructor(
    kind: "badJson" | "badRequest" | "badTopic",
    detail: string,
    readonly request: RequestName = {},
  ) {
    super(kind, detail);
  }
}

/** Throws BadRequest. */
export function parseRequest(text: string): ClientRequest {
  const request = parseObject(text);
  const { reqtype } = request;
  const id = idOf(request.id, text, reqtype);
  switch (reqtype) {
    case "Heartbeat":
      return { type: "heartbeat", id };
    case "Subscribe":
      return {
        type: "subscribe",
        request: { topic: topicOf(request.topic, reqtype, id), id, since: sinceOf(request.since, id) },
      };
    case "Query":
      return { type: "subscribe", request: queryOf(request.action, id) };
    case "Unsubscribe":
      return { type: "unsubscribe", topic: topicOf(request.topic, reqtype, id), id };
    default: {
      const known = "Subscribe, Query, Unsubscribe or Heartbeat";
      throw new BadRequest("badRequest", `reqtype must be ${known}`, { reqtype: textOf(reqtype), id });
    }
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const ID_RULE =
  "id must be a text, or a number in the form in which JavaScript writes it: 7, but not 7.0, -0 or 9007199254740993; " +
  "send any other id as a text";

/** `null` stands for none. A client would match an answer with a changed id to another request. */
function idOf(id: unknown, text: string, reqtype: unknown): RequestId {
  if (id === undefined || id === null) return undefined;
  if (typeof id === "string" || (typeof id === "number" && isExact(id, text))) return id;
  throw new BadRequest("badRequest", ID_RULE, { reqtype: textOf(reqtype) });
}

/** JSON.parse rounds silently, so the digits of the request are compared with those that the reply would have. */
function isExact(id: number, text: string): boolean {
  const written = String(id);
  for (const [, number] of text.matchAll(/"id"\s*:\s*([\w.+-]+)/g)) if (number === written) return true;
  return false;
}

function topicOf(topic: unknown, reqtype: string, id: RequestId): string {
  if (!isTopic(topic)) throw new BadRequest("badTopic", `topic: ${TOPIC_RULE}`, { reqtype, id });
  return topic;
}

/** `{"action":"allexts"}` asks for the topic `exts`. */
function queryOf(action: unknown, id: RequestId): SubscribeRequest {
  const topic = typeof action === "string" && action.startsWith("all") ? action.slice(3) : undefined;
  if (!isTopic(topic)) {
    const detail = `action must be "all" and a topic: ${TOPIC_RULE}`;
    throw new BadRequest("badTopic", detail, { reqtype: "Query", id });
  }
  return { topic, id, action: `all${topic}` };
}

function sinceOf(since: unknown, id: RequestId): Position | undefined {
  if (since === undefined || since === null) return undefined;
  const { epoch, offset } = typeof since === "object" ? (since as Record<string, unknown>) : {};
  if (isEpoch(epoch) && Number.isSafeInteger(offset) && (offset as number) >= 0)
    return { epoch, offset: offset as number };
  const detail = 'since must be {"epoch":"…","offset":57}, as a push or an answer gave them';
  throw new BadRequest("badRequest", detail, { reqtype: "Subscribe", id });
}

const isEpoch = (epoch: unknown): epoch is string => typeof epoch === "string" && /^[\w.-]{1,64}$/.test(epoch);

/** One entry of `?topics=`: `exts`, or `exts@EPOCH:57` with the client's position; undefined where it is malformed. */
export function parseUrlTopic(text: string): SubscribeRequest | undefined {
  const [topic, position, more] = text.split("@");
  if (!isTopic(topic) || more !== undefined) return undefined;
  if (position === undefined) return { topic };
  const [, epoch, offset] = /^([\w.-]{1,64}):(\d{1,15})$/.exec(position) ?? [];
  return epoch === undefined ? undefined : { topic, since: { epoch, offset: Number(offset) } };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadRequest("badJson", "not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BadRequest("badJson", "must be a JSON object");
  }
  return value as Record<string, unknown>;
}

export const HEARTBEAT_REQUEST = '{"reqtype":"Heartbeat"}';
export const HEARTBEAT_REPLY = Buffer.from('{"reqtype":"Heartbeat","code":0}');

export const heartbeatReply = (id: RequestId): Buffer =>
  id === undefined ? HEARTBEAT_REPLY : reply({ reqtype: "Heartbeat", id, code: 0 });

/** A topic's position and state at one moment. An answer that is followed by the missed pushes has an empty state. */
export interface TopicSnapshot extends Position {
  readonly name: string;
  /** The keyed state as JSON; the same buffer for all receivers. */
  readonly state: Buffer;
}

/** The answer to Subscribe, to Query or to a topic of the URL. `recovered`: everything after `since` follows as pushes. */
export function followReply(
  snapshot: TopicSnapshot,
  request: Pick<SubscribeRequest, "id" | "action">,
  recovered: boolean,
): SharedMessage {
  const id = request.id === undefined ? "" : `"id":${JSON.stringify(request.id)},`;
  const head =
    request.action === undefined
      ? `"reqtype":"Subscribe",${id}`
      : `"reqtype":"Query","action":"${request.action}",${id}`;
  const flag = request.action === undefined ? `"recovered":${recovered},` : "";
  return new SharedMessage(Buffer.from(`{${head}"code":0,${position(snapshot)},${flag}"data":`), snapshot.state);
}

/** The receiver's state is void and replaced by this: the epoch changed, or more was missed than is remembered. */
export function resetEvent(snapshot: TopicSnapshot): SharedMessage {
  return new SharedMessage(Buffer.from(`{"event":"reset",${position(snapshot)},"data":`), snapshot.state);
}

/** A slow reader of a topic whose policy is `drop` was not sent these offsets. */
export function droppedEvent(topic: string, from: number, to: number): Buffer {
  return reply({ event: "dropped", topic, from, to });
}

const position = ({ name, epoch, offset }: TopicSnapshot): string =>
  `"topic":"${name}","epoch":"${epoch}","offset":${offset}`;

export function unsubscribeReply(topic: string, id: RequestId): Buffer {
  return reply({ reqtype: "Unsubscribe", id, code: 0, topic });
}

export function errorReply(error: GatewayError, { reqtype, id, topic }: RequestName): Buffer {
  return reply({ ...error.toJSON(), reqtype, id, topic });
}

/**
 * Sent in advance: the window for a client's random wait after a disconnect without a close frame, and the interval at which
 * heartbeats are enough.
 */
export function retryEvent(windowMs: number, heartbeatMs?: number): Buffer {
  return reply({ event: "retry", reconnect: { afterMs: [0, windowMs] }, heartbeatMs });
}

/** Sent before the gateway closes a connection; `afterMs` is the window for the client's random wait. */
export function goodbyeEvent(reason: string, windowMs: number): Buffer {
  return reply({ event: "goodbye", reason, reconnect: { afterMs: [0, windowMs] } });
}

const reply = (message: object): Buffer => Buffer.from(JSON.stringify(message));

export const WEBSOCKET_PATH = "/ws";
/** Where the original front end asks for the WebSocket address. */
export const ADDRESS_PATH = "/bcall/url";
/** Answers whether the worker that accepted the connection runs. */
export const HEALTH_PATH = "/healthz";
