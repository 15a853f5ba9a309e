/** What the publish API depends on, as fakes: a hub that keeps what was published, and a request that is a stream. */
import { Readable } from "node:stream";
import { GatewayError } from "../../../src/errors.js";
import type { Batch, Draft, Published } from "../../../src/hub/hub.js";
import type { HubPort } from "../../../src/publish/api.js";
import type { PublishRequest } from "../../../src/publish/body.js";

export const MAX_DATA_BYTES = 200;

export class FakeHub implements HubPort {
  readonly published: { topic: string; data: string; key: string | undefined }[] = [];
  readonly #offsets = new Map<string, number>();
  /** It refuses publications after so many. */
  awayAfter = Infinity;
  backpressure: () => Promise<void> | undefined = () => undefined;

  readonly #ids = new Map<string, Published>();

  publish(drafts: readonly Draft[]): Batch {
    const results: Published[] = [];
    for (const draft of drafts) {
      if (this.published.length >= this.awayAfter) return { results, error: new GatewayError("hubUnavailable") };
      results.push(this.#publish(draft));
    }
    return { results };
  }

  #publish({ topic, data, key, id }: Draft): Published {
    const known = id === undefined ? undefined : this.#ids.get(`${topic} ${id}`);
    if (known) return { ...known, duplicate: true };
    const offset = (this.#offsets.get(topic) ?? 0) + 1;
    this.#offsets.set(topic, offset);
    this.published.push({ topic, data, key });
    const result = { topic, epoch: "e", offset };
    if (id !== undefined) this.#ids.set(`${topic} ${id}`, result);
    return result;
  }
}

/** A POST whose body arrives in these chunks. */
export function post(
  body: string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  headers: Record<string, string> = {},
): PublishRequest {
  const chunks = typeof body === "string" ? [Buffer.from(body)] : body;
  return Object.assign(Readable.from(chunks, { objectMode: false }), { headers });
}

export const NDJSON = { "content-type": "application/x-ndjson" };

/** What the admin port would answer: the body, or the fault's JSON and its kind. */
export async function answer(work: Promise<object>): Promise<{ kind: string } & Record<string, unknown>> {
  try {
    return { kind: "ok", ...(await work) };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { kind: error.kind, ...error.toJSON() };
  }
}
