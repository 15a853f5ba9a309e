/**
 * `megagate.v1` as text: client messages to commands, replies to bytes. Pure; knows no socket and no topic's state.
 * The same protocol is described for client authors in the README.
 */
import { GatewayError } from "../errors.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";
import type { Position } from "../topics/publication.js";
import { SharedMessage } from "./shared-message.js";

/** Chosen as WebSocket sub-protocol when a client offers it. */
export const SUBPROTOCOL = "megagate.v1";

/** Echoed in the reply as it came, so that a client can match them. */
export type RequestId = string | number | undefined;

/** A wish to follow a topic, by Subscribe, by Query, or named in the URL. */
export interface SubscribeRequest {
  readonly topic: string;
  readonly id?: RequestId;
  /** The client has everything up to here. */
  readonly since?: Position | undefined;
  /** Query: answered with the state in any case, naming this action. */
  readonly action?: string;
}

export type Command =
  | { readonly type: "heartbeat"; readonly id: RequestId }
  | { readonly type: "subscribe"; readonly request: SubscribeRequest }
  | { readonly type: "unsubscribe"; readonly topic: string; readonly id: RequestId };

/** A refused request, with what the client needs to match the answer. */
export class BadRequest extends GatewayError {
  constructor(
    kind: "badJson" | "badRequest" | "badTopic",
    detail: string,
    readonly reqtype?: string,
    readonly id?: RequestId,
  ) {
    super(kind, detail);
  }
}

/** Throws BadRequest. */
export function parseCommand(text: string): Command {
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
      throw new BadRequest("badRequest", `reqtype must be ${known}`, textOf(reqtype), id);
    }
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const ID_RULE =
  "id must be a text, or a number in the form in which JavaScript writes it: 7, but not 7.0, -0 or 9007199254740993; " +
  "send any other id as a text";

/** `null` stands for none. An answer under another id than the client's own would be taken for another request's. */
function idOf(id: unknown, text: string, reqtype: unknown): RequestId {
  if (id === undefined || id === null) return undefined;
  if (typeof id === "string" || (typeof id === "number" && isExact(id, text))) return id;
  throw new BadRequest("badRequest", ID_RULE, textOf(reqtype));
}

/** JSON.parse rounds without a word, so the digits that came are compared with those that would go back. */
function isExact(id: number, text: string): boolean {
  const written = String(id);
  for (const [, number] of text.matchAll(/"id"\s*:\s*([\w.+-]+)/g)) if (number === written) return true;
  return false;
}

function topicOf(topic: unknown, reqtype: string, id: RequestId): string {
  if (!isTopic(topic)) throw new BadRequest("badTopic", `topic: ${TOPIC_RULE}`, reqtype, id);
  return topic;
}

/** `{"action":"allexts"}` asks for the topic `exts`. */
function queryOf(action: unknown, id: RequestId): SubscribeRequest {
  const topic = typeof action === "string" && action.startsWith("all") ? action.slice(3) : undefined;
  if (!isTopic(topic)) throw new BadRequest("badTopic", `action must be "all" and a topic: ${TOPIC_RULE}`, "Query", id);
  return { topic, id, action: `all${topic}` };
}

function sinceOf(since: unknown, id: RequestId): Position | undefined {
  if (since === undefined || since === null) return undefined;
  const { epoch, offset } = typeof since === "object" ? (since as Record<string, unknown>) : {};
  if (isEpoch(epoch) && Number.isSafeInteger(offset) && (offset as number) >= 0)
    return { epoch, offset: offset as number };
  throw new BadRequest(
    "badRequest",
    'since must be {"epoch":"…","offset":57}, as a push or an answer gave them',
    "Subscribe",
    id,
  );
}

const isEpoch = (epoch: unknown): epoch is string => typeof epoch === "string" && /^[\w.-]{1,64}$/.test(epoch);

/** One entry of `?topics=`: `exts`, or `exts@EPOCH:57` with the position that the client has. */
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

/** What a follower is told of a topic: its position and state; the state is empty where the missed pushes follow instead. */
export interface TopicSnapshot extends Position {
  readonly name: string;
  /** JSON of the keyed state, shared. */
  readonly state: Buffer;
}

/** The answer to Subscribe (also from the URL) or Query. `recovered`: everything after `since` follows as pushes. */
export function followReply(
  told: TopicSnapshot,
  request: Pick<SubscribeRequest, "id" | "action">,
  recovered: boolean,
): SharedMessage {
  const id = request.id === undefined ? "" : `"id":${JSON.stringify(request.id)},`;
  const head =
    request.action === undefined
      ? `"reqtype":"Subscribe",${id}`
      : `"reqtype":"Query","action":"${request.action}",${id}`;
  const flag = request.action === undefined ? `"recovered":${recovered},` : "";
  return new SharedMessage(Buffer.from(`{${head}"code":0,${position(told)},${flag}"data":`), told.state);
}

/** Numbering began anew, or more was missed than is remembered: this is what holds now. */
export function resetEvent(told: TopicSnapshot): SharedMessage {
  return new SharedMessage(Buffer.from(`{"event":"reset",${position(told)},"data":`), told.state);
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

/** `topic`: a topic of the URL has no id by which its refusal is known. */
export function errorReply(error: GatewayError, reqtype?: string, id?: RequestId, topic?: string): Buffer {
  return reply({ ...error.toJSON(), reqtype, id, topic });
}

/** Said early: the window for the random wait of a client whose connection ends without a word, and how seldom heartbeats do. */
export function retryEvent(windowMs: number, heartbeatMs?: number): Buffer {
  return reply({ event: "retry", reconnect: { afterMs: [0, windowMs] }, heartbeatMs });
}

/** Sent before a close that the client could not foresee; `afterMs` is the window for its random wait. */
export function goodbye(reason: string, windowMs: number): Buffer {
  return reply({ event: "goodbye", reason, reconnect: { afterMs: [0, windowMs] } });
}

const reply = (message: object): Buffer => Buffer.from(JSON.stringify(message));

export const WEBSOCKET_PATH = "/ws";
/** Where the original front end asks for the WebSocket address. */
export const ADDRESS_PATH = "/bcall/url";
/** Whether the worker that took the connection runs. */
export const HEALTH_PATH = "/healthz";
