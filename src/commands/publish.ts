/**
 * `megagate publish`: one message, or a stream of lines from stdin, through the admin port of a running gateway. Prints the
 * gateway's answer as JSON. Lines go out as they come in, in one request; the gateway's line numbers are those of the input.
 */
import type { Readable } from "node:stream";
import type { AdminAccess } from "../config/admin-access.js";
import { GatewayError } from "../errors.js";
import { Lines } from "../publish/lines.js";
import { parseJson } from "../publish/message.js";
import { exchange } from "./admin-client.js";

/** As commander gives them. */
export interface PublishFlags extends AdminAccess {
  readonly key?: string;
  readonly delete?: boolean;
  readonly raw?: boolean;
}
type Input = Readable & { readonly isTTY?: boolean };

/** For one message: workers that have no room may hold it up for 5 s. */
const ANSWER_MS = 30_000;
/** The widest limit of a line that any gateway could have; the gateway's own limit comes with its answer. */
const MAX_LINE_BYTES = 1024 * 1024;

/** Throws `usage`, `unreachable` when nobody answers, `failed` when the gateway or we refuse. */
export async function publish(
  flags: PublishFlags,
  given: { topic: string | undefined; data: string | undefined; input: Input },
): Promise<string> {
  const { topic, data, input } = given;
  const { key } = flags;
  const lines = flags.delete !== true && (data === undefined || data === "-");
  const why = misuse(flags, given, lines);
  if (why !== undefined) throw new GatewayError("usage", why);
  if (lines) return await publishLines(flags, topic, input);
  const value = flags.delete === true ? null : asJson(data!);
  return await post(flags, "application/json", JSON.stringify({ topic, key, data: value }));
}

function misuse(
  flags: PublishFlags,
  { topic, data, input }: { topic: string | undefined; data: string | undefined; input: Input },
  lines: boolean,
): string | undefined {
  if (topic === undefined && flags.raw !== true) return "name a topic, or give whole messages on stdin with --raw";
  if (flags.delete === true && (flags.key === undefined || data !== undefined || flags.raw === true)) {
    return "--delete needs a --key and takes no data: megagate publish TOPIC --key KEY --delete";
  }
  if (flags.raw === true && !lines) return "--raw reads messages from stdin: leave out the data";
  if (flags.raw === true && flags.key !== undefined) return "--raw messages bring their own key: leave out --key";
  if (lines && data === undefined && input.isTTY === true) return "give data, or - to type lines of JSON";
  return undefined;
}

/** JSON if it is JSON, else the text itself. */
function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function publishLines(flags: PublishFlags, topic: string | undefined, input: Input): Promise<string> {
  const refused: { why?: GatewayError } = {};
  const wrap = flags.raw === true ? rawMessage(topic) : dataMessage(topic!, flags.key);
  const body = messages(input, wrap, refused);
  let answer: string;
  try {
    answer = await post(flags, "application/x-ndjson", body);
  } finally {
    // The gateway may have answered before the input ended; an open pipe would keep this process.
    input.destroy();
  }
  if (refused.why === undefined) return answer;
  throw new GatewayError("failed", `${refused.why.detail}; the lines before it were published: ${answer}`);
}

/** Line by line to message by message, a chunk for a chunk. A bad line ends the stream, and is left in `refused`. */
async function* messages(
  input: Input,
  wrap: (value: unknown) => unknown,
  refused: { why?: GatewayError },
): AsyncGenerator<Buffer> {
  const lines = new Lines(MAX_LINE_BYTES);
  let out = "";
  const onLine = (line: Buffer): void => {
    // Blank lines go along, so that the gateway counts as the input does.
    out += line.toString("latin1").trim() === "" ? "\n" : `${JSON.stringify(wrap(parseJson(line, "it")))}\n`;
  };
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      lines.feed(chunk, onLine);
      if (out !== "") yield Buffer.from(out);
      out = "";
    }
    lines.end(onLine);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    refused.why = new GatewayError(error.kind, `line ${lines.number}: ${error.detail}`);
  }
  if (out !== "") yield Buffer.from(out);
}

const dataMessage =
  (topic: string, key: string | undefined) =>
  (data: unknown): unknown => ({ topic, key, data });

/** A topic on the command line is for the messages that name none. */
const rawMessage =
  (topic: string | undefined) =>
  (message: unknown): unknown =>
    typeof message === "object" && message !== null && !Array.isArray(message) ? { topic, ...message } : message;

async function post(access: AdminAccess, type: string, body: string | AsyncGenerator<Buffer>): Promise<string> {
  const one = { body, signal: AbortSignal.timeout(ANSWER_MS) };
  const how = typeof body === "string" ? one : { body, duplex: "half" as const };
  const init = { method: "POST", headers: { "Content-Type": type }, ...how };
  return (await exchange(access, { path: "/publish", has: "code", init })).text;
}
