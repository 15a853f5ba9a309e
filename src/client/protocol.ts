/**
 * `megagate.v1` for the client: parses the gateway's text to a discriminated union. Pure. Independent of the gateway's own
 * protocol code, which this folder must not import: the client must fit into a browser by itself. A message that is not
 * known becomes `other`, so that a newer gateway may send more.
 */

/** A position in a topic: `epoch` names one run of numbering, `offset` the last publication in it. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** One key of a topic's keyed state. */
export interface Entry {
  readonly key: string;
  readonly data: unknown;
}

export interface PushMessage {
  readonly type: "push";
  readonly topic: string;
  readonly offset: number;
  /** Offset of the push before this one; `offset - 1` unless the gateway says otherwise. */
  readonly prev: number;
  readonly key: string | undefined;
  readonly data: unknown;
}

/** A topic's position, and its state unless `recovered`. */
export interface AnswerMessage extends Position {
  readonly type: "answer";
  /** Of the request; an answer to a topic in the address has none. */
  readonly id: number | undefined;
  /** If there is no id: the topic in the address that is answered. */
  readonly urlTopic: string | undefined;
  readonly recovered: boolean;
  readonly data: readonly Entry[];
}

export interface RefusalMessage {
  readonly type: "refusal";
  readonly id: number | undefined;
  readonly urlTopic: string | undefined;
  readonly code: number;
  readonly error: string;
}

export interface ResetMessage extends Position {
  readonly type: "reset";
  readonly topic: string;
  readonly data: readonly Entry[];
}

export type ServerMessage =
  | PushMessage
  | AnswerMessage
  | RefusalMessage
  | ResetMessage
  | { readonly type: "dropped"; readonly topic: string; readonly from: number; readonly to: number }
  | { readonly type: "goodbye"; readonly reason: string; readonly afterMs: readonly [number, number] | undefined }
  | {
      readonly type: "retry";
      readonly afterMs: readonly [number, number] | undefined;
      /** Idle time before a heartbeat. */
      readonly heartbeatMs: number | undefined;
    }
  | { readonly type: "degraded" | "restored" | "done" | "other" };

export type Request =
  | { readonly reqtype: "Query"; readonly action: string }
  | { readonly reqtype: "Subscribe"; readonly topic: string; readonly since?: Position }
  | { readonly reqtype: "Unsubscribe"; readonly topic: string };

export const SUBPROTOCOL = "megagate.v1";
export const HEARTBEAT = '{"reqtype":"Heartbeat"}';

/** Codes of refusals that the client handles; every other 40xx ends the subscription. */
export const REFUSAL = { notARequest: 4001, hubUnavailable: 4006 } as const;

const MAX_TOPIC_CHARACTERS = 128;
const URL_TOPIC = /^[\w-]+(?::[\w-]+)*(?:@[\w.-]{1,64}:\d{1,15})?$/;

/** One entry of `?topics=`; undefined if the gateway would refuse the whole handshake because of it. */
export function urlTopic(topic: string, since: Position | undefined): string | undefined {
  const text = since ? `${topic}@${since.epoch}:${since.offset}` : topic;
  return topic.length <= MAX_TOPIC_CHARACTERS && URL_TOPIC.test(text) && !topic.includes("@") ? text : undefined;
}

type Fields = Readonly<Record<string, unknown>>;

const OTHER: ServerMessage = { type: "other" };

export function parseMessage(text: unknown): ServerMessage {
  const fields = typeof text === "string" ? parseObject(text) : undefined;
  if (!fields) return OTHER;
  if (typeof fields.event === "string") return parseEvent(fields.event, fields);
  if (typeof fields.code === "number") return parseAnswer(fields.code, fields);
  const { topic, offset, prev, key, data } = fields;
  if (typeof topic !== "string" || !isOffset(offset)) return OTHER;
  return {
    type: "push",
    topic,
    offset,
    prev: isOffset(prev) ? prev : offset - 1,
    key: typeof key === "string" ? key : undefined,
    data,
  };
}

function parseAnswer(code: number, fields: Fields): ServerMessage {
  const { reqtype, epoch, offset, recovered, data, error } = fields;
  const id = typeof fields.id === "number" ? fields.id : undefined;
  const urlTopic = !("id" in fields) && typeof fields.topic === "string" ? fields.topic : undefined;
  if (code !== 0) return { type: "refusal", id, urlTopic, code, error: typeof error === "string" ? error : "refused" };
  if (reqtype === "Heartbeat" || reqtype === "Unsubscribe") return { type: "done" };
  if (reqtype !== "Subscribe" && reqtype !== "Query") return OTHER;
  if (id === undefined && urlTopic === undefined) return OTHER;
  if (typeof epoch !== "string" || !isOffset(offset)) return OTHER;
  return { type: "answer", id, urlTopic, epoch, offset, recovered: recovered === true, data: entriesOf(data) };
}

function parseEvent(event: string, fields: Fields): ServerMessage {
  const { topic, epoch, offset, from, to } = fields;
  switch (event) {
    case "reset":
      if (typeof topic !== "string" || typeof epoch !== "string" || !isOffset(offset)) return OTHER;
      return { type: "reset", topic, epoch, offset, data: entriesOf(fields.data) };
    case "dropped":
      if (typeof topic !== "string" || !isOffset(from) || !isOffset(to)) return OTHER;
      return { type: "dropped", topic, from, to };
    case "goodbye": {
      const { reason } = fields;
      return { type: "goodbye", reason: typeof reason === "string" ? reason : "", afterMs: windowOf(fields.reconnect) };
    }
    case "retry":
      return { type: "retry", afterMs: windowOf(fields.reconnect), heartbeatMs: intervalOf(fields.heartbeatMs) };
    case "degraded":
    case "restored":
      return { type: event };
    default:
      return OTHER;
  }
}

function windowOf(reconnect: unknown): readonly [number, number] | undefined {
  if (!isObject(reconnect) || !Array.isArray(reconnect.afterMs)) return undefined;
  const [from, to] = reconnect.afterMs as unknown[];
  return isOffset(from) && isOffset(to) && from <= to ? [from, to] : undefined;
}

/** Between a second and an hour: less would be a flood, more as good as no heartbeat. */
function intervalOf(ms: unknown): number | undefined {
  return isOffset(ms) && ms >= 1000 && ms <= 3_600_000 ? ms : undefined;
}

function entriesOf(data: unknown): Entry[] {
  const rows = Array.isArray(data) ? (data as unknown[]) : [];
  return rows.flatMap((row) =>
    isObject(row) && typeof row.key === "string" ? [{ key: row.key, data: row.data }] : [],
  );
}

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isOffset = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
