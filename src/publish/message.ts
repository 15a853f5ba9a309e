/**
 * JSON to a message or a named fault. Pure, and hot: every publication of every kind of body passes here.
 * A message: `{"topic":"exts","key"?:"8001","data":<any JSON>,"id"?:"…"}`. schema.ts says the same to the OpenAPI document;
 * test/unit/publish/schema.test.ts holds the two together.
 */
import { isUtf8 } from "node:buffer";
import { GatewayError } from "../errors.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";

export interface Message {
  readonly topic: string;
  /** JSON text; "null" with a key deletes the key. */
  readonly data: string;
  readonly key: string | undefined;
  /** Idempotency key. */
  readonly id: string | undefined;
}

/** Characters are code points, as JSON Schema counts them; no control character, no half of a surrogate pair. */
export const KEY = /^[^\p{Cc}\p{Cs}]{1,256}$/u;
export const KEY_RULE = "a string of 1–256 characters, none of them a control character";
export const ID = /^[^\p{Cc}\p{Cs}]{1,128}$/u;
export const ID_RULE = "a string of 1–128 characters, none of them a control character";
const EXAMPLE = '{"topic":"exts","data":{}}';

/** Longest text of one message: escapes such as \u0041 may make it six times as long as its data; topic, key and id beside. */
export const maxMessageBytes = (maxDataBytes: number): number => maxDataBytes * 6 + 4096;

/** `where` names the text in the fault: "the body", "the line". Throws badJson. */
export function parseJson(bytes: Buffer, where: string): unknown {
  if (!isUtf8(bytes)) throw new GatewayError("badJson", `${where} is not UTF-8`);
  const text = bytes.toString("utf8", startsWithMark(bytes) ? 3 : 0);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GatewayError("badJson", `${where} is not JSON: ${(error as Error).message}`);
  }
}

/** The byte order mark that some editors write. */
function startsWithMark(bytes: Buffer): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

/** `where` as above. Throws GatewayError: badJson, badRequest, badTopic, publicationTooBig. */
export function toMessage(value: unknown, maxDataBytes: number, where: string): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new GatewayError("badJson", `${where} must be a JSON object such as ${EXAMPLE}`);
  }
  const { topic, key, data, id } = value as Record<string, unknown>;
  for (const field in value) {
    if (field !== "topic" && field !== "data" && field !== "key" && field !== "id") {
      throw new GatewayError("badRequest", `unknown field ${JSON.stringify(field)}; there are topic, key, data and id`);
    }
  }
  if (!isTopic(topic)) throw new GatewayError("badTopic", `topic: ${TOPIC_RULE}`);
  if (key !== undefined && !matches(KEY, key)) throw new GatewayError("badRequest", `key: ${KEY_RULE}`);
  if (id !== undefined && !matches(ID, id)) throw new GatewayError("badRequest", `id: ${ID_RULE}`);
  if (data === undefined) throw new GatewayError("badRequest", "data is missing (null is allowed)");
  return { topic, key, id, data: dataText(data, maxDataBytes) };
}

export const matches = (rule: RegExp, value: unknown): value is string => typeof value === "string" && rule.test(value);

function dataText(data: unknown, maxDataBytes: number): string {
  let text: string;
  try {
    text = JSON.stringify(data);
  } catch {
    // The only way in which JSON.parse's own result cannot be written: the recursion of JSON.stringify ends.
    throw new GatewayError("badRequest", "data is nested too deeply");
  }
  const bytes = Buffer.byteLength(text);
  if (bytes > maxDataBytes) {
    throw new GatewayError("publicationTooBig", `data has ${bytes} bytes of JSON, at most ${maxDataBytes} are allowed`);
  }
  // 1e999 is read as Infinity and written as null, which with a key would delete. Looked for only where a null stands.
  if (text.includes("null") && hasInfinity(data)) {
    throw new GatewayError("badRequest", "data has a number that no double can hold");
  }
  return text;
}

function hasInfinity(data: unknown): boolean {
  const open = [data];
  while (open.length > 0) {
    const value = open.pop();
    if (value === Infinity || value === -Infinity) return true;
    if (typeof value === "object" && value !== null)
      open.push(...Object.values<unknown>(value as Record<string, unknown>));
  }
  return false;
}
