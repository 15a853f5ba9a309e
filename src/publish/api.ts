/**
 * `POST /publish` on the private admin port: one message, an array of them, or a stream of lines, each to the hub, and the
 * positions back. An array is checked whole before anything is published; a stream cannot be, so its first bad line ends
 * it and the answer says how many went before. Who reaches the admin port may publish; the port is private. Hub process only.
 */
import { GatewayError } from "../errors.js";
import type { Batch, Draft, Published } from "../hub/hub.js";
import { Bodies, type BodyLimits } from "./bodies.js";
import { drink, idempotencyKey, kindOfBody, type PublishRequest, readBody } from "./body.js";
import { Lines } from "./lines.js";
import { type Message, maxMessageBytes, parseJson, toMessage } from "./message.js";
import { scanArray } from "./scan.js";

export const MAX_ARRAY_MESSAGES = 10_000;

/** What this room needs of the hub, or of an engine in its place. */
export interface HubPort {
  /**
   * Numbers the messages in their order until one is refused (hubUnavailable, stateFull, draining), and tells how far it came. Resolves
   * when nothing can undo it: for the hub, when the log has it.
   */
  publish(drafts: readonly Draft[]): Batch | Promise<Batch>;
  /** Settles when the workers' queues have room again; undefined while they have. Publishers wait for it. */
  backpressure(): Promise<void> | undefined;
}

/** Smaller bodies are parsed in a few milliseconds, whatever they are. */
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
      // Parsed, an array may need ten times its bytes: while it waits, it stays as it came.
      const room = this.#hub.backpressure();
      if (room !== undefined) await room;
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

  #message(value: unknown, where: string, headerId?: string): Message {
    const message = toMessage(value, this.#maxPublicationBytes, where);
    if (headerId === undefined) return message;
    if (message.id !== undefined && message.id !== headerId) {
      throw new GatewayError("badRequest", "id and Idempotency-Key differ: give one of them");
    }
    return { ...message, id: headerId };
  }

  async #publishOne(message: Message): Promise<Published> {
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

  /** The lines of one chunk go to the hub together; nothing more is read before they are published. */
  async #stream(request: PublishRequest): Promise<object> {
    const lines = new Lines(maxMessageBytes(this.#maxPublicationBytes));
    const sum = { published: 0, duplicates: 0 };
    const take = (read: (onLine: (line: Buffer) => void) => void): Promise<unknown> | undefined => {
      const messages: Message[] = [];
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
    await drink(request, (chunk) => take((onLine) => lines.feed(chunk, onLine)));
    await take((onLine) => lines.end(onLine));
    return { code: 0, ...sum };
  }

  /** What stood before a bad line is published before the line is refused. */
  async #publishLines(
    messages: readonly Message[],
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

/** A stream so far, and the bad line that ends it. */
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

/** The same fault, naming the message; with the number of those that were published before it, if they were. */
function explained(error: unknown, what: string, published?: number): unknown {
  if (!(error instanceof GatewayError)) return error;
  return new GatewayError(error.kind, `${what}: ${error.detail}`, published === undefined ? {} : { published });
}
