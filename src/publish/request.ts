/**
 * An HTTP body to a publication or a named fault. Pure.
 * Body: `{"topic":"exts","key"?:"8001","data":<any JSON>}`, UTF-8.
 */
import { GatewayError } from "../errors.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";

export interface PublishRequest {
  readonly topic: string;
  /** Names the value that this one replaces in the topic's keyed state. */
  readonly key?: string;
  /** JSON text; `null` with a key deletes it. */
  readonly data: string;
}

const KEY = /^[^\p{Cc}]{1,256}$/u;
const FIELDS: ReadonlySet<string> = new Set(["topic", "key", "data"]);

/** Throws GatewayError: badJson, badRequest, badTopic, publicationTooBig. */
export function parsePublish(body: string, maxDataBytes: number): PublishRequest {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new GatewayError("badJson", `the body is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new GatewayError("badJson", 'the body must be a JSON object such as {"topic":"exts","data":{}}');
  }
  const request = value as Record<string, unknown>;
  const unknown = Object.keys(request).find((key) => !FIELDS.has(key));
  if (unknown !== undefined) throw new GatewayError("badRequest", `unknown field ${JSON.stringify(unknown)}`);
  if (!isTopic(request.topic)) throw new GatewayError("badTopic", `topic: ${TOPIC_RULE}`);
  if (request.data === undefined) throw new GatewayError("badRequest", "data is missing (null is allowed)");
  const data = JSON.stringify(request.data);
  const bytes = Buffer.byteLength(data);
  if (bytes > maxDataBytes) {
    throw new GatewayError("publicationTooBig", `data has ${bytes} bytes of JSON, at most ${maxDataBytes} are allowed`);
  }
  if (request.key === undefined) return { topic: request.topic, data };
  if (typeof request.key !== "string" || !KEY.test(request.key)) {
    throw new GatewayError("badRequest", "key must be 1–256 characters without control characters");
  }
  return { topic: request.topic, key: request.key, data };
}
