/**
 * `POST /publish` on the private admin port: passes one message, an array, or a stream of lines to the hub, and answers with
 * their positions. All messages of an array are checked before the first is published. A stream cannot be, so its first bad
 * line ends it, and the answer says how many were published before. Every client of the admin port may publish. Hub process only.
 */
import { GatewayError } from "../errors.js";
import type { Batch, Draft, Published } from "../hub/hub.js";
import { Bodies, type BodyLimits } from "./bodies.js";
import { consume, idempotencyKey, kindOfBody, type PublishRequest, readBody } from "./body.js";
import { Lines } from "./lines.js";
import { maxMessageBytes, parseJson, toMessage } from "./message.js";
import { scanArray } from "./scan.js";

export const MAX_ARRAY_MESSAGES = 10_000;

/** The part of the hub, or of an engine in its place, that is needed here. */
export interface HubPort {
  /**
   * Publishes the messages in their order until one is refused (hubUnavailable, stateFull, draining). Resolves when the result is
   * final: for the hub, when it is in the log.
   */
  publish(drafts: readonly Draft[]): Batch | Promise<Batch>;
  /** Undefined while the workers' queues have space; else settles when they have again. Publishers wait for it. */
  backpressure(): Promise<void> | undefined;
}

/** Smaller bodies are parsed in a few milliseconds, whatever they contain. */
const SCANNED_FROM_BYTES = 131_072;
const MAX_MARKS = 1_000_000;
const USUAL_BODIES: BodyLimits = { bytes: 67_108_864, seconds: 30 };

export class PublishApi {
  readonly #hub: HubPort;
  readonly #maxPublicationBytes: number;
  refused = 0;
  readonly #bodies: Bodies;

  constructor(hub: HubPort, maxPublicationBytes: number, limits: BodyLimits = USUAL_BODIES) {
    this.#hub = hub;
    this.#maxPublicationBytes = maxPublicationBytes;
    this.#bodies = new Bodies(limits);
  }

  /** The body of the answer. Throws GatewayError; the caller turns it into the HTTP answer. */
  async publish(request: PublishRequest): Promise<object> {
    try {
      const id = idempotencyKey(request.headers);
      if (kindOfBody(request.headers) === "lines") {
        if (id !== undefined) throw headerForMany();
        return await this.#stream(request);
      }
      return await this.#whole(request, id);
    } catch (error) {
      this.refused += 1;
      throw error;
    }
  }

  async #whole(request: PublishRequest, id: string | undefined): Promise<object> {
    const body = this.#bodies.begin();
    try {
      const messageBytes = maxMessageBytes(this.#maxPublicationBytes);
      const bytes = await readBody(request, messageBytes, body);
      // A parsed array may need ten times the bytes of its text: while it waits, it stays unparsed.
      const drained = this.#hub.backpressure();
      if (drained !== undefined) await drained;
      if (bytes.length > SCANNED_FROM_BYTES)
        scanArray(bytes, { messages: MAX_ARRAY_MESSAGES, messageBytes, marks: MAX_MARKS });
      const value = parseJson(bytes, "the body");
      if (!Array.isArray(value)) return { code: 0, ...(await this.#publishOne(this.#message(value, "the body", id))) };
      if (id !== undefined) throw headerForMany();
      return { code: 0, results: await this.#publishAll(value) };
    } finally {
      body.close();
    }
  }

  #message(value: unknown, where: string, headerId?: string): Draft {
    const message = toMessage(value, this.#maxPublicationBytes, where);
    if (headerId === undefined) return message;
    if (message.id !== undefined && message.id !== headerId) {
      throw new GatewayError("badRequest", "id and Idempotency-Key differ: give one of them");
    }
    return { ...message, id: headerId };
  }

  async #publishOne(message: Draft): Promise<Published> {
    const { results, error } = await this.#hub.publish([message]);
    if (error) throw error;
    return results[0]!;
  }

  async #publishAll(values: readonly unknown[]): Promise<readonly Published[]> {
    if (values.length === 0) {
      throw new GatewayError("badRequest", "the body must be a JSON object or an array with at least one of them");
    }
    if (values.length > MAX_ARRAY_MESSAGES) {
      const detail = `the array has more than ${MAX_ARRAY_MESSAGES} messages`;
      throw new GatewayError("publicationTooBig", detail);
    }
    const messages = values.map((value, i) => {
      try {
        return this.#message(value, "it");
      } catch (error) {
        throw explained(error, `message ${i + 1}`);
      }
    });
    const { results, error } = await this.#hub.publish(messages);
    if (error) throw explained(error, `message ${results.length + 1}`, results.length);
    return results;
  }

  /** The lines of one chunk go to the hub together; the next chunk is read when they are published. */
  async #stream(request: PublishRequest): Promise<object> {
    const lines = new Lines(maxMessageBytes(this.#maxPublicationBytes));
    const sum = { published: 0, duplicates: 0 };
    const publishFrom = (read: (onLine: (line: Buffer) => void) => void): Promise<unknown> | undefined => {
      const messages: Draft[] = [];
      const numbers: number[] = [];
      let fault: { readonly error: unknown; readonly line: number } | undefined;
      try {
        read((line) => {
          if (isBlank(line)) return;
          messages.push(this.#message(parseJson(line, "it"), "it"));
          numbers.push(lines.number);
        });
      } catch (error) {
        fault = { error, line: lines.number };
      }
      if (messages.length === 0 && !fault) return undefined;
      return this.#publishLines(messages, numbers, { sum, fault });
    };
    await consume(request, (chunk) => publishFrom((onLine) => lines.feed(chunk, onLine)));
    await publishFrom((onLine) => lines.end(onLine));
    return { code: 0, ...sum };
  }

  /** Publishes the messages before a bad line, then refuses the line. */
  async #publishLines(
    messages: readonly Draft[],
    numbers: readonly number[],
    { sum, fault }: StreamState,
  ): Promise<void> {
    const { results, error } = messages.length === 0 ? NOTHING : await this.#hub.publish(messages);
    for (const { duplicate } of results) {
      if (duplicate) sum.duplicates += 1;
      else sum.published += 1;
    }
    if (error) throw explained(error, `line ${numbers[results.length]}`, sum.published);
    if (fault) throw explained(fault.error, `line ${fault.line}`, sum.published);
    await this.#hub.backpressure();
  }
}

/** What was published of a stream so far, and the bad line that ends it. */
interface StreamState {
  readonly sum: { published: number; duplicates: number };
  readonly fault: { readonly error: unknown; readonly line: number } | undefined;
}

const NOTHING: Batch = { results: [] };

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return false;
  return true;
}

function headerForMany(): GatewayError {
  return new GatewayError("badRequest", "Idempotency-Key names one message: give each message its own id");
}

/** The same fault with the message or line that it is about, and how many messages were published before it, if any could be. */
function explained(error: unknown, what: string, published?: number): unknown {
  if (!(error instanceof GatewayError)) return error;
  return new GatewayError(error.kind, `${what}: ${error.detail}`, published === undefined ? {} : { published });
}
