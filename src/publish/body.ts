/**
 * The bytes of a request: which format its body has, and reading it with bounds and backpressure. Knows HTTP headers and
 * streams, not messages. A body that is refused half-way is read on and discarded, so that the answer gets out. Hub process only.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { type ErrorName, GatewayError } from "../errors.js";
import type { OpenBody } from "./bodies.js";
import { ID, ID_RULE, matches } from "./message.js";

/** The part of a request that is needed here. */
export type PublishRequest = Readable & { readonly headers: IncomingHttpHeaders };

export const MAX_ARRAY_BYTES = 8 * 1024 * 1024;
/** No type, and the types that curl -d, and fetch with a string, send for JSON. */
const JSON_TYPES: ReadonlySet<string> = new Set([
  "",
  "application/json",
  "text/plain",
  "application/x-www-form-urlencoded",
]);
const LINE_TYPES: ReadonlySet<string> = new Set(["application/x-ndjson", "application/ndjson"]);
export const UNSUPPORTED_TYPE = "badMediaType" satisfies ErrorName;
const BRACKET = 0x5b;

/** Throws badMediaType for an encoding or a type that cannot be read. */
export function kindOfBody(headers: IncomingHttpHeaders): "json" | "lines" {
  const encoding = headers["content-encoding"] ?? "";
  // RFC 9110 §8.4.1: a list, in any case; `identity` is no encoding.
  if (!encoding.split(",").every((name) => /^\s*(?:identity)?\s*$/i.test(name))) {
    throw new GatewayError(UNSUPPORTED_TYPE, `content encoding ${JSON.stringify(encoding)}: send it uncompressed`);
  }
  const type = (headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
  if (JSON_TYPES.has(type)) return "json";
  if (LINE_TYPES.has(type)) return "lines";
  throw new GatewayError(
    UNSUPPORTED_TYPE,
    `content type ${JSON.stringify(type)}: use application/json, or application/x-ndjson for a stream of lines`,
  );
}

/** The header is the id of a single message; in an array or a stream each message has its own `id`. Throws badRequest. */
export function idempotencyKey(headers: IncomingHttpHeaders): string | undefined {
  const key = headers["idempotency-key"];
  if (key === undefined || matches(ID, key)) return key;
  throw new GatewayError("badRequest", `Idempotency-Key: ${ID_RULE}`);
}

/**
 * The whole body. An array may have 8 MiB, anything else `maxBytes`; the first character shows which it is. Throws
 * publicationTooBig, bodyTooSlow and publishersBusy.
 */
export async function readBody(request: PublishRequest, maxBytes: number, body: OpenBody): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  let limit: number | undefined;
  const onChunk = (chunk: Buffer): undefined => {
    const first = limit === undefined ? firstCharacter(chunk) : undefined;
    if (first !== undefined) limit = first === BRACKET ? Math.max(MAX_ARRAY_BYTES, maxBytes) : maxBytes;
    length += chunk.length;
    if (length > (limit ?? maxBytes)) {
      throw new GatewayError("publicationTooBig", `the body has more than ${limit ?? maxBytes} bytes`);
    }
    body.add(chunk.length);
    chunks.push(chunk);
    return undefined;
  };
  await consume(request, onChunk, (fail) => {
    body.onLate = fail;
  });
  body.onLate = undefined;
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length);
}

/** Of JSON: the first that is no blank. */
function firstCharacter(chunk: Buffer): number | undefined {
  return chunk.find((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09);
}

/**
 * Passes on each chunk as it arrives; reads no more while a promise that `onChunk` returned is open. Rejects with what
 * `onChunk` throws, with the error that is given to `fail` (`onStart` gets that function), or when the client goes away half-way.
 * Listeners and not `for await`, which destroys the request on an early end, and makes one-by-one publishing 10 % slower.
 */
export function consume(
  request: PublishRequest,
  onChunk: (chunk: Buffer) => Promise<unknown> | undefined,
  onStart?: (fail: (error: GatewayError) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let over = false;
    let ended = false;
    /** The last chunk is being handled: `end` may come meanwhile. */
    let waiting = false;
    const fail = (error: unknown): void => {
      over = true;
      request.resume();
      reject(error instanceof Error ? error : new Error(String(error)));
    };
    onStart?.(fail);
    const done = (): void => {
      if (ended && !waiting && !over) resolve();
    };
    request.on("data", (chunk: Buffer) => {
      if (over) return;
      try {
        const wait = onChunk(chunk);
        if (wait === undefined) return;
        waiting = true;
        request.pause();
        wait.then(() => {
          waiting = false;
          request.resume();
          done();
        }, fail);
      } catch (error) {
        fail(error);
      }
    });
    request.once("end", () => {
      ended = true;
      done();
    });
    request.on("error", reject);
    request.once("close", () => {
      if (!ended) reject(new Error("the publisher went away before the end of its body"));
    });
  });
}
