/**
 * `megagate.v1` as the client sees it: the gateway's text to a discriminated union, requests to text. Pure. Written
 * without the gateway's own protocol code, which this room may not import: it must fit into a browser by itself.
 * What is not understood becomes `other`, so that a newer gateway may say more.
 */

/** Where a topic's numbering stands: `epoch` names one run of numbering, `offset` its last publication. */
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
  readonly kind: "push";
  readonly topic: string;
  readonly offset: number;
  /** Offset of the push before, where that is not `offset - 1`. */
  readonly prev: number;
  readonly key: string | undefined;
  readonly data: unknown;
}

/** A topic's position, and its state unless `recovered`. */
export interface AnswerMessage extends Position {
  readonly kind: "answer";
  /** Of our message; an answer to a topic of the address has none. */
  readonly id: number | undefined;
  /** Where there is no id: the topic of the address that is answered. */
  readonly urlTopic: string | undefined;
  readonly recovered: boolean;
  readonly data: readonly Entry[];
}

export interface RefusalMessage {
  readonly kind: "refusal";
  readonly id: number | undefined;
  readonly urlTopic: string | undefined;
  readonly code: number;
  readonly error: string;
}

export interface ResetMessage extends Position {
  readonly kind: "reset";
  readonly topic: string;
  readonly data: readonly Entry[];
}

export type ServerMessage =
  | PushMessage
  | AnswerMessage
  | RefusalMessage
  | ResetMessage
  | { readonly kind: "dropped"; readonly topic: string; readonly from: number; readonly to: number }
  | { readonly kind: "goodbye"; readonly reason: string; readonly afterMs: readonly [number, number] | undefined }
  | {
      readonly kind: "retry";
      readonly afterMs: readonly [number, number] | undefined;
      /** How long to be idle before a heartbeat. */
      readonly heartbeatMs: number | undefined;
    }
  | { readonly kind: "degraded" | "restored" | "done" | "other" };

export type Request =
  | { readonly reqtype: "Query"; readonly action: string }
  | { readonly reqtype: "Subscribe"; readonly topic: string; readonly since?: Position }
  | { readonly reqtype: "Unsubscribe"; readonly topic: string };

export const SUBPROTOCOL = "megagate.v1";
export const HEARTBEAT = '{"reqtype":"Heartbeat"}';

/** Codes of refusals that the client acts upon; every other 40xx ends the subscription. */
export const REFUSAL = { notARequest: 4001, hubUnavailable: 4006 } as const;

const MAX_TOPIC_CHARACTERS = 128;
const URL_TOPIC = /^[\w-]+(?::[\w-]+)*(?:@[\w.-]{1,64}:\d{1,15})?$/;

/** One entry of `?topics=`; undefined for what the gateway would refuse the whole handshake for. */
export function urlTopic(topic: string, since: Position | undefined): string | undefined {
  const text = since ? `${topic}@${since.epoch}:${since.offset}` : topic;
  return topic.length <= MAX_TOPIC_CHARACTERS && URL_TOPIC.test(text) && !topic.includes("@") ? text : undefined;
}

type Fields = Readonly<Record<string, unknown>>;

const OTHER: ServerMessage = { kind: "other" };

export function parseMessage(text: unknown): ServerMessage {
  const fields = typeof text === "string" ? parseObject(text) : undefined;
  if (!fields) return OTHER;
  if (typeof fields.event === "string") return parseEvent(fields.event, fields);
  if (typeof fields.code === "number") return parseAnswer(fields.code, fields);
  const { topic, offset, prev, key, data } = fields;
  if (typeof topic !== "string" || !isOffset(offset)) return OTHER;
  return {
    kind: "push",
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
  if (code !== 0) return { kind: "refusal", id, urlTopic, code, error: typeof error === "string" ? error : "refused" };
  if (reqtype === "Heartbeat" || reqtype === "Unsubscribe") return { kind: "done" };
  if (reqtype !== "Subscribe" && reqtype !== "Query") return OTHER;
  if (id === undefined && urlTopic === undefined) return OTHER;
  if (typeof epoch !== "string" || !isOffset(offset)) return OTHER;
  return { kind: "answer", id, urlTopic, epoch, offset, recovered: recovered === true, data: entriesOf(data) };
}

function parseEvent(event: string, fields: Fields): ServerMessage {
  const { topic, epoch, offset, from, to } = fields;
  switch (event) {
    case "reset":
      if (typeof topic !== "string" || typeof epoch !== "string" || !isOffset(offset)) return OTHER;
      return { kind: "reset", topic, epoch, offset, data: entriesOf(fields.data) };
    case "dropped":
      if (typeof topic !== "string" || !isOffset(from) || !isOffset(to)) return OTHER;
      return { kind: "dropped", topic, from, to };
    case "goodbye": {
      const { reason } = fields;
      return { kind: "goodbye", reason: typeof reason === "string" ? reason : "", afterMs: windowOf(fields.reconnect) };
    }
    case "retry":
      return { kind: "retry", afterMs: windowOf(fields.reconnect), heartbeatMs: intervalOf(fields.heartbeatMs) };
    case "degraded":
    case "restored":
      return { kind: event };
    default:
      return OTHER;
  }
}

function windowOf(reconnect: unknown): readonly [number, number] | undefined {
  if (!isObject(reconnect) || !Array.isArray(reconnect.afterMs)) return undefined;
  const [from, to] = reconnect.afterMs as unknown[];
  return isOffset(from) && isOffset(to) && from <= to ? [from, to] : undefined;
}

/** Between a second and an hour: another number would be a flood, or as good as no heartbeat. */
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
