/**
 * `megagate.v1` as text: client messages to commands, replies to bytes. Pure; knows no socket and no topic's state.
 * The same protocol is described for client authors in the README.
 */
import { GatewayError } from "../errors.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";
import type { Position } from "../topics/publication.js";

/** Chosen as WebSocket sub-protocol when a client offers it. */
export const SUBPROTOCOL = "megagate.v1";

/** Echoed in the reply, so that a client can match them. */
export type RequestId = string | number | undefined;

export type Command =
  | { readonly type: "heartbeat" }
  | { readonly type: "subscribe"; readonly topic: string; readonly id: RequestId }
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
  const id = typeof request.id === "string" || typeof request.id === "number" ? request.id : undefined;
  switch (reqtype) {
    case "Heartbeat":
      return { type: "heartbeat" };
    case "Subscribe":
    case "Unsubscribe": {
      if (!isTopic(request.topic)) throw new BadRequest("badTopic", `topic: ${TOPIC_RULE}`, reqtype, id);
      return { type: reqtype === "Subscribe" ? "subscribe" : "unsubscribe", topic: request.topic, id };
    }
    default: {
      const known = "Subscribe, Unsubscribe or Heartbeat";
      throw new BadRequest(
        "badRequest",
        `reqtype must be ${known}`,
        typeof reqtype === "string" ? reqtype : undefined,
        id,
      );
    }
  }
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

export function subscribeReply(topic: string, position: Position, id: RequestId): Buffer {
  const { epoch, offset } = position;
  return reply({ reqtype: "Subscribe", id, code: 0, topic, epoch, offset, recovered: false, data: [] });
}

export function unsubscribeReply(topic: string, id: RequestId): Buffer {
  return reply({ reqtype: "Unsubscribe", id, code: 0, topic });
}

export function errorReply(error: GatewayError, reqtype?: string, id?: RequestId): Buffer {
  return reply({ ...error.toJSON(), reqtype, id });
}

/** Sent before a close that the client could not foresee; `afterMs` is the window for its random wait. */
export function goodbye(reason: string, windowMs: number): Buffer {
  return reply({ event: "goodbye", reason, reconnect: { afterMs: [0, windowMs] } });
}

const reply = (message: object): Buffer => Buffer.from(JSON.stringify(message));
