/**
 * Which page of a topic's state `GET /topics/{name}?limit=&after=` asks for. Any other parameter is refused with the
 * rule: a misspelt name would be answered with another page than was meant. Pure. Hub process only.
 */
import { GatewayError } from "../errors.js";
import { KEY, KEY_RULE } from "./message.js";

export const DEFAULT_STATE_LIMIT = 1000;
export const MAX_STATE_LIMIT = 10_000;

export interface PageRequest {
  readonly limit: number;
  /** The page begins with the first key after this one. */
  readonly after: string | undefined;
}

/** `url`: the request's target. Throws badRequest. */
export function pageRequest(url: string): PageRequest {
  const given = new Map<string, string>();
  const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
  for (const part of query.split("&").filter((text) => text !== "")) {
    const [name = "", ...value] = part.split("=");
    if (name !== "limit" && name !== "after") throw bad(`no parameter ${decoded(name)}; there are limit and after`);
    if (given.has(name)) throw bad(`${name} is given twice`);
    given.set(name, decoded(value.join("=")));
  }
  const { limit = String(DEFAULT_STATE_LIMIT), after } = Object.fromEntries(given);
  if (!/^\d{1,5}$/.test(limit) || Number(limit) < 1 || Number(limit) > MAX_STATE_LIMIT)
    throw bad(`limit: a whole number from 1 to ${MAX_STATE_LIMIT}`);
  if (after !== undefined && !KEY.test(after)) throw bad(`after: a key of the state, ${KEY_RULE}`);
  return { limit: Number(limit), after };
}

const bad = (detail: string): GatewayError => new GatewayError("badRequest", detail);

/** As forms and URLSearchParams write it: + is a space. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw bad(`${text}: % is followed by two hexadecimal digits, which make UTF-8`);
  }
}
