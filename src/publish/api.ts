/**
 * `POST /publish` on the private admin port: one message, an array of them, or a stream of lines, each to the hub, and the
 * positions back. An array is checked whole before anything is published; a stream cannot be, so its first bad line ends
 * it and the answer says how many went before. Who reaches the admin port may publish; the port is private. Hub process only.
 */
import { GatewayError } from "../errors.js";
import type { Position } from "../topics/publication.js";
import { Bodies, type BodyLimits } from "./bodies.js";
import { drink, idempotencyKey, kindOfBody, type PublishRequest, readBody } from "./body.js";
import { Lines } from "./lines.js";
import { type Message, maxMessageBytes, parseJson, toMessage } from "./message.js";
import { RecentIds } from "./recent.js";
import { scanArray } from "./scan.js";

export const MAX_ARRAY_MESSAGES = 10_000;

export interface Published extends Position {
  readonly topic: string;
}

/** What this room needs of the hub. */
export interface HubPort {
  /** Throws GatewayError: hubUnavailable while the hub is being rebuilt, stateFull. `data`: JSON text, "null" with a key deletes. */
  publish(topic: string, data: string, key?: string): Published;
  /** Settles when the workers' queues have room again; undefined while they have. Publishers wait for it. */
  room(): Promise<void> | undefined;
}

interface Result extends Published {
  readonly duplicate?: true;
}

/** Smaller bodies are parsed in a few milliseconds, whatever they are. */
const SCANNED_FROM_BYTES = 131_072;
const MAX_MARKS = 1_000_000;
const USUAL_BODIES: BodyLimits = { bytes: 67_108_864, seconds: 30 };

export class PublishApi {
  refused = 0;
  readonly #bodies: Bodies;

  constructor(
    private readonly hub: HubPort,
    private readonly maxPublicationBytes: number,
    limits: BodyLimits = USUAL_BODIES,
    private readonly recent: RecentIds = new RecentIds(),
  ) {
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
      const messageBytes = maxMessageBytes(this.maxPublicationBytes);
      const bytes = await readBody(request, messageBytes, body);
      // Parsed, an array may need ten times its bytes: while it waits, it stays as it came.
      const room = this.hub.room();
      if (room !== undefined) await room;
      if (bytes.length > SCANNED_FROM_BYTES)
        scanArray(bytes, { messages: MAX_ARRAY_MESSAGES, messageBytes, marks: MAX_MARKS });
      const value = parseJson(bytes, "the body");
      if (!Array.isArray(value)) return { code: 0, ...this.#publish(this.#message(value, "the body", id)) };
      if (id !== undefined) throw headerForMany();
      return { code: 0, results: this.#publishAll(value) };
    } finally {
      body.close();
    }
  }

  #message(value: unknown, where: string, headerId?: string): Message {
    const message = toMessage(value, this.maxPublicationBytes, where);
    if (headerId === undefined) return message;
    if (message.id !== undefined && message.id !== headerId) {
      throw new GatewayError("badRequest", "id and Idempotency-Key differ: give one of them");
    }
    return { ...message, id: headerId };
  }

  #publish({ topic, data, key, id }: Message): Result {
    const known = id === undefined ? undefined : this.recent.find(topic, id);
    if (known !== undefined) return { topic, epoch: known.epoch, offset: known.offset, duplicate: true };
    const { epoch, offset } = this.hub.publish(topic, data, key);
    if (id !== undefined) this.recent.remember(topic, id, { epoch, offset });
    return { topic, epoch, offset };
  }

  #publishAll(values: readonly unknown[]): Result[] {
    if (values.length === 0) {
      throw new GatewayError("badRequest", "the body must be a JSON object or an array with at least one of them");
    }
    if (values.length > MAX_ARRAY_MESSAGES) {
      const detail = `the array has more than ${MAX_ARRAY_MESSAGES} messages`;
      throw new GatewayError("publicationTooBig", detail);
    }
    const messages = values.map((value, i) => naming(`message ${i + 1}`, () => this.#message(value, "it")));
    return messages.map((message, i) => naming(`message ${i + 1}`, () => this.#publish(message), i));
  }

  async #stream(request: PublishRequest): Promise<object> {
    const lines = new Lines(maxMessageBytes(this.maxPublicationBytes));
    let published = 0;
    let duplicates = 0;
    const onLine = (line: Buffer): void => {
      if (isBlank(line)) return;
      const result = this.#publish(this.#message(parseJson(line, "it"), "it"));
      if (result.duplicate) duplicates += 1;
      else published += 1;
    };
    const step = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        throw explained(error, `line ${lines.number}`, published);
      }
    };
    await drink(request, (chunk) => {
      step(() => lines.feed(chunk, onLine));
      return this.hub.room();
    });
    step(() => lines.end(onLine));
    return { code: 0, published, duplicates };
  }
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return false;
  return true;
}

function headerForMany(): GatewayError {
  return new GatewayError("badRequest", "Idempotency-Key names one message: give each message its own id");
}

function naming<T>(what: string, work: () => T, published?: number): T {
  try {
    return work();
  } catch (error) {
    throw explained(error, what, published);
  }
}

/** The same fault, naming the message; with the number of those that were published before it, if they were. */
function explained(error: unknown, what: string, published?: number): unknown {
  if (!(error instanceof GatewayError)) return error;
  return new GatewayError(error.kind, `${what}: ${error.detail}`, published === undefined ? {} : { published });
}
