/** The OpenAPI document matches the code: parser and schema agree on any input, answers and faults fit their schemas. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { GatewayError } from "../../../src/errors.js";
import { PublishApi } from "../../../src/publish/api.js";
import { toMessage } from "../../../src/publish/message.js";
import { openApi } from "../../../src/publish/openapi.js";
import * as schemas from "../../../src/publish/schema.js";
import { isTopic } from "../../../src/topics/name.js";
import { runs } from "../../support/runs.js";
import { answer, FakeHub, MAX_DATA_BYTES, NDJSON, post } from "./fake-hub.js";

function parses(value: unknown): boolean {
  try {
    toMessage(value, 1_000_000, "it");
    return true;
  } catch (error) {
    assert.ok(error instanceof GatewayError, String(error));
    return false;
  }
}

/** Close enough to valid that both outcomes are common. */
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 10 }),
  fc.constantFrom("a", "a:b", "a::b", ":a", "8001", "", "ä", "\u0000", "\u007f", "\u0085", "\ud800", "\u2028", "a\n"),
  fc.constantFrom(127, 128, 129, 255, 256, 257).map((length) => "x".repeat(length)),
  fc.constantFrom(127, 128, 129, 255, 256, 257).map((length) => "😀".repeat(length)),
);
const anything = fc.oneof(text, fc.jsonValue({ maxDepth: 2 }));
const nearMessage = fc
  .record(
    { topic: fc.oneof(fc.constant("exts"), anything), key: text, data: anything, id: text, more: anything },
    { requiredKeys: [] },
  )
  .chain((message) => fc.constantFrom(message, { ...message, more: undefined }, { topic: "a", data: 1, ...message }))
  .map((message) => JSON.parse(JSON.stringify(message)) as unknown);

describe("the schemas", () => {
  it("accept exactly the messages that the parser accepts", () => {
    let accepted = 0;
    const { numRuns } = runs(5000);
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: nearMessage }, { weight: 1, arbitrary: anything }), (value) => {
        const ours = parses(value);
        accepted += Number(ours);
        assert.equal(schemas.Message.safeParse(value).success, ours, JSON.stringify(value));
      }),
      { numRuns },
    );
    const share = accepted / numRuns;
    assert.ok(share > 0.02 && share < 0.98, `${accepted} of ${numRuns} were accepted: the generator is one-sided`);
  });

  it("have patterns that accept the same as the code, read as JSON Schema", () => {
    const { components } = openApi({ version: "1", maxPublicationBytes: 100 }) as {
      components: { schemas: Record<string, { pattern?: string; maxLength?: number }> };
    };
    const { pattern, maxLength } = components.schemas.Topic!;
    fc.assert(
      fc.property(fc.oneof(text, fc.stringMatching(/^[a:_-]{0,5}$/)), (topic) => {
        assert.equal(new RegExp(pattern!, "u").test(topic) && Array.from(topic).length <= maxLength!, isTopic(topic));
      }),
    );
  });

  it("fit every answer and every fault", async () => {
    const api = new PublishApi(new FakeHub(), MAX_DATA_BYTES);
    const publish = (body: string, headers?: Record<string, string>): ReturnType<typeof answer> =>
      answer(api.publish(post(body, headers)));
    const one = '{"topic":"a","data":1,"id":"x"}';
    schemas.Published.parse(await publish(one));
    schemas.Published.parse(await publish(one));
    schemas.PublishedAll.parse(await publish(`[${one},${one}]`));
    schemas.PublishedLines.parse(await publish(one, NDJSON));
    schemas.Fault.parse(await publish("["));
    assert.equal(schemas.Fault.parse(await publish(`${one}\n{`, NDJSON)).published, 0);
  });
});

describe("the OpenAPI document", () => {
  const document = JSON.parse(JSON.stringify(openApi({ version: "1.2.3", maxPublicationBytes: 12_288 }))) as {
    openapi: string;
    paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
    components: { schemas: Record<string, unknown> };
  };

  it("has every path, and no dangling reference", () => {
    assert.match(document.openapi, /^3\.1\./);
    assert.deepEqual(Object.keys(document.paths).sort(), [
      "/drain",
      "/healthz",
      "/metrics",
      "/openapi.json",
      "/processes",
      "/publish",
      "/readyz",
      "/restart-workers",
      "/slow-readers",
      "/topics",
      "/topics/{name}",
    ]);
    const names = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!);
    assert.ok(names.length > 10);
    for (const name of names) {
      assert.ok(name.startsWith("#/components/schemas/"), name);
      assert.ok(name.slice("#/components/schemas/".length) in document.components.schemas, name);
    }
  });

  it("names the faults of publishing by their status", () => {
    const statuses = Object.keys(document.paths["/publish"]!.post!.responses);
    for (const status of ["200", "400", "405", "413", "503"]) assert.ok(statuses.includes(status), status);
  });
});
