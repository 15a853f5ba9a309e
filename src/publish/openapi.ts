/**
 * The OpenAPI 3.1 document of the admin port, served at `GET /openapi.json`. Bodies come from schema.ts, faults from
 * errors.ts; only the list of paths is written here. Loaded with the first request for it: zod costs 44 ms and 13 MB. Hub process only.
 */
import { z } from "zod";
import { ERRORS, type ErrorName } from "../errors.js";
import { DEFAULT_LIMIT, MAX_LIMIT } from "../hub/topic-list.js";
import { MAX_ARRAY_MESSAGES } from "./api.js";
import { MAX_ARRAY_BYTES, UNSUPPORTED_TYPE } from "./body.js";
import { ID, ID_RULE, maxMessageBytes } from "./message.js";
import { DEFAULT_STATE_LIMIT, MAX_STATE_LIMIT } from "./page-request.js";
import * as schemas from "./schema.js";

type SchemaName = keyof typeof schemas;

export function openApi(given: { version: string; maxPublicationBytes: number }): object {
  return {
    openapi: "3.1.0",
    info: {
      title: "Megagate admin port",
      version: given.version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      description:
        "Private. With --admin-keys-file each request but /healthz and /readyz needs a key with its scope (401 without a key, 403 without the scope); without that file every client that reaches the port may do everything. Every fault is answered as `Fault`.",
    },
    servers: [{ url: "/" }],
    security: [{}, { key: [] }],
    paths: {
      "/publish": { post: publish(given.maxPublicationBytes) },
      "/topics": { get: topics() },
      "/topics/{name}": { get: topic() },
      "/slow-readers": {
        get: operation("slowReaders", "The slowest readers of all workers", {
          200: json("The readers", "SlowReaders"),
        }),
      },
      "/metrics": {
        get: operation("metrics", "Metrics of the whole gateway, in Prometheus' text format", {
          200: { description: "The scrape", content: { "text/plain": { schema: { type: "string" } } } },
        }),
      },
      "/healthz": { get: operation("health", "Whether the hub process is alive", { 200: json("It is", "Alive") }) },
      "/readyz": {
        get: operation("readiness", "Whether every worker is linked and at least one listens", {
          200: json("Nothing is missing", "Ready"),
          503: json("What is missing", "NotReady"),
        }),
      },
      "/processes": {
        get: operation("processes", "The processes of the gateway, with connections", {
          200: json("Processes", "Processes"),
        }),
      },
      "/drain": {
        get: operation("drainFacts", "The figures from which a drain is planned (megagate drain --plan)", {
          200: json("The figures", "Drain"),
        }),
      },
      "/restart-workers": {
        get: operation("roll", "The rolling restart in progress, or the last one", { 200: json("Progress", "Roll") }),
        post: operation("restartWorkers", "Replace the worker processes one by one", {
          202: json("It begins", "Roll"),
          ...faults("alreadyRolling", "draining"),
        }),
      },
      "/openapi.json": {
        get: operation("openapi", "This document", {
          200: { description: "OpenAPI 3.1", content: { "application/json": { schema: { type: "object" } } } },
        }),
      },
    },
    components: {
      schemas: components(),
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "A key of --admin-keys-file" } },
    },
  };
}

function publish(maxPublicationBytes: number): object {
  const example = { topic: "exts", key: "8001", data: { status: "talking" } };
  return {
    ...operation("publish", "Publish one message, an array of them, or a stream of lines", {
      200: json("Published", "Published", "PublishedAll", "PublishedLines"),
      ...faults(
        ...([
          "badJson",
          "badRequest",
          "badTopic",
          "badMethod",
          UNSUPPORTED_TYPE,
          "publicationTooBig",
          "bodyTooSlow",
          "publishersBusy",
        ] as const),
        ...(["hubUnavailable", "stateFull", "draining"] as const),
      ),
    }),
    description:
      "All messages of an array are checked before the first is published; if the hub itself refuses one, `published` says how " +
      "many were published before it. A stream is published line by line as it arrives; the first bad line ends it, and " +
      "`published` says how many were published before it. A message with an `id` that its topic had in the last 10 minutes " +
      "(as many ids as fit into --idempotency-bytes) is not published again: the answer is the position of the first one.",
    parameters: [
      {
        name: "Idempotency-Key",
        in: "header",
        description: `The id of a single message, instead of its \`id\`; ${ID_RULE}`,
        schema: { type: "string", pattern: ID.source },
      },
    ],
    requestBody: {
      required: true,
      description:
        `Data has at most ${maxPublicationBytes} bytes as JSON text, one message or line ${maxMessageBytes(maxPublicationBytes)}; ` +
        `an array ${MAX_ARRAY_MESSAGES} messages and ${MAX_ARRAY_BYTES} bytes; a stream has no end. No content type, ` +
        "text/plain and application/x-www-form-urlencoded (curl -d) are read as JSON.",
      content: {
        "application/json": { schema: reference("Body"), example },
        "application/x-ndjson": {
          schema: { type: "string", description: "One `Message` a line" },
          example: `${JSON.stringify(example)}\n${JSON.stringify({ topic: "news", data: "hello" })}\n`,
        },
      },
    },
  };
}

function topics(): object {
  const parameter = (name: string, description: string, schema: object): object => ({
    name,
    in: "query",
    description,
    schema,
  });
  return {
    ...operation("topics", "All topics, with subscribers and sizes, a page at a time", {
      200: json("A page, in the order of names", "TopicList"),
      ...faults("badRequest"),
    }),
    parameters: [
      parameter("prefix", "Only topics whose names begin with it", { type: "string" }),
      parameter("after", "The `next` of the previous page", { type: "string" }),
      parameter("limit", "Topics of a page", {
        type: "integer",
        minimum: 1,
        maximum: MAX_LIMIT,
        default: DEFAULT_LIMIT,
      }),
    ],
  };
}

function topic(): object {
  return {
    ...operation("topic", "A topic's position, and a page of its keyed state, in the order of keys", {
      200: json("The topic", "TopicState"),
      ...faults("badTopic", "badRequest", "notFound"),
    }),
    parameters: [
      { name: "name", in: "path", required: true, schema: reference("Topic") },
      {
        name: "limit",
        in: "query",
        description: "Most entries of the state in one page; it ends earlier, after a mebibyte of them",
        schema: { type: "integer", minimum: 1, maximum: MAX_STATE_LIMIT, default: DEFAULT_STATE_LIMIT },
      },
      {
        name: "after",
        in: "query",
        description: "The page begins with the first key after this one: the `next` of the previous page",
        schema: { type: "string" },
      },
    ],
  };
}

const operation = (operationId: string, summary: string, responses: object): object => ({
  operationId,
  summary,
  responses,
});

const reference = (name: SchemaName): object => ({ $ref: `#/components/schemas/${name}` });

function json(description: string, ...names: SchemaName[]): object {
  const [first, ...others] = names.map(reference);
  return {
    description,
    content: { "application/json": { schema: others.length === 0 ? first : { oneOf: [first, ...others] } } },
  };
}

/** Rows of the error table, by their HTTP status. */
function faults(...names: ErrorName[]): Record<number, object> {
  const texts: Record<number, string[]> = {};
  for (const name of new Set(names)) {
    const { http, code, text } = ERRORS[name];
    texts[http] = [...(texts[http] ?? []), `${code}: ${text}`];
  }
  return Object.fromEntries(Object.entries(texts).map(([http, lines]) => [http, json(lines.join("; "), "Fault")]));
}

/** zod writes each schema as a document by itself; here they become parts of one. */
function components(): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const { schemas: written } = z.toJSONSchema(registry, {
    io: "input",
    uri: (id) => `#/components/schemas/${id}`,
  });
  return Object.fromEntries(
    Object.entries(written).map(([id, { $schema: _dialect, $id: _address, ...schema }]) => [id, schema]),
  );
}
