/**
 * Reads one JSON object from bytes whose author is not trusted: tokens and key sets. JSON.parse alone keeps the last of two
 * members of one name, so that two readers could understand one token differently; this refuses the text instead, and
 * everything that is not UTF-8 or begins with a byte order mark. Pure; runs in the supervisor (key sets) and in workers.
 */
import { isUtf8 } from "node:buffer";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Undefined where the bytes are not exactly one JSON object without a repeated member at any depth. */
export function parseStrictObject(bytes: Buffer): JsonObject | undefined {
  if (!isUtf8(bytes)) return undefined;
  // Decoding keeps a byte order mark, which JSON.parse then refuses.
  const text = bytes.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value) || repeatsMember(text)) return undefined;
  return value as JsonObject;
}

/** `json` is known to be valid, so a string followed by a colon is the name of a member. */
function repeatsMember(json: string): boolean {
  /** The members of each object that is open; nothing for arrays. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < json.length; at++) {
    switch (json[at]) {
      case "{":
        open.push(new Set());
        break;
      case "[":
        open.push(undefined);
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case '"': {
        const end = endOfString(json, at);
        if (isName(json, end)) {
          const name = nameOf(json.slice(at, end));
          const members = open.at(-1)!;
          if (members.has(name)) return true;
          members.add(name);
        }
        at = end - 1;
        break;
      }
      default:
    }
  }
  return false;
}

/** The index behind the closing quotation mark. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at + 1;
}

function isName(json: string, after: number): boolean {
  let at = after;
  while (json[at] === " " || json[at] === "\t" || json[at] === "\n" || json[at] === "\r") at += 1;
  return json[at] === ":";
}

/** An escape may spell the same name in other characters. */
const nameOf = (quoted: string): string =>
  quoted.includes("\\") ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
