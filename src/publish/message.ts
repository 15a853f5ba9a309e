/**
 * JSON to a message, or to a fault with a name. Pure, and hot: every publication, whatever the format of its body, passes here.
 * A message: `{"topic":"exts","key"?:"8001","data":<any JSON>,"id"?:"…"}`. schema.ts has the same rules for the OpenAPI document;
 * test/unit/publish/schema.test.ts holds the two together.
 */
import { isUtf8 } from "node:buffer";
import { GatewayError } from "../errors.js";
import type { Draft } from "../hub/hub.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";

/** Characters are code points, as JSON Schema counts them; no control character, no half of a surrogate pair. */
export const KEY = /^[^\p{Cc}\p{Cs}]{1,256}$/u;
export const KEY_RULE = "a string of 1–256 characters, none of them a control character";
export const ID = /^[^\p{Cc}\p{Cs}]{1,128}$/u;
export const ID_RULE = "a string of 1–128 characters, none of them a control character";
const EXAMPLE = '{"topic":"exts","data":{}}';

/** Longest text of one message: escapes such as \u0041 make data six times as long at most; 4,096 for topic, key and id. */
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

/** Whether it begins with the byte order mark that some editors write. */
function startsWithMark(bytes: Buffer): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

/** `where` names the text in the fault. Throws GatewayError: badJson, badRequest, badTopic, publicationTooBig. */
export function toMessage(value: unknown, maxDataBytes: number, where: string): Draft {
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
    // What JSON.parse made can fail in JSON.stringify in one way only: its recursion exceeds the stack.
    throw new GatewayError("badRequest", "data is nested too deeply");
  }
  const bytes = Buffer.byteLength(text);
  if (bytes > maxDataBytes) {
    throw new GatewayError("publicationTooBig", `data has ${bytes} bytes of JSON, at most ${maxDataBytes} are allowed`);
  }
  // 1e999 is parsed as Infinity and written as null, which with a key would delete it. Checked only if there is a null.
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
