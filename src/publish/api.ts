/**
 * `POST /publish` on the private admin port: reads a bounded body, publishes, answers with topic, epoch and offset.
 * Who reaches the admin port may publish; the port is private. Hub process only.
 */
import type { IncomingMessage } from "node:http";
import { GatewayError } from "../errors.js";
import type { Hub, Published } from "../hub/hub.js";
import { parsePublish } from "./request.js";

/** Beside the data itself: the topic, field names, and JSON escapes that our own encoding does not need. */
const BODY_SLACK_BYTES = 4096;

export class PublishApi {
  refused = 0;

  constructor(
    private readonly hub: Hub,
    private readonly maxPublicationBytes: number,
  ) {}

  /** Throws GatewayError; the caller turns it into the HTTP answer. */
  async publish(request: IncomingMessage): Promise<{ code: 0 } & Published> {
    try {
      // Escapes such as \u0041 may make a legal body six times as long as its data.
      const body = await readBody(request, this.maxPublicationBytes * 6 + BODY_SLACK_BYTES);
      const { topic, key, data } = parsePublish(body, this.maxPublicationBytes);
      return { code: 0, ...this.hub.publish(topic, data, key) };
    } catch (error) {
      this.refused += 1;
      throw error;
    }
  }
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new GatewayError("publicationTooBig", `the body has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new GatewayError("badJson", "the body is not UTF-8");
  }
}
