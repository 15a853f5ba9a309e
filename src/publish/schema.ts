/**
 * The admin port's requests and answers as zod schemas, for the OpenAPI document; their names are its component names. The hot
 * path does not run them: message.ts is the parser, and test/unit/publish/schema.test.ts holds it and `Message` equal on
 * generated inputs. Loaded only by openapi.ts, with the first request for the document. Hub process only.
 */
import { z } from "zod";
import { isTopic, MAX_TOPIC_CHARACTERS, TOPIC_RULE } from "../topics/name.js";
import { MAX_ARRAY_MESSAGES } from "./api.js";
import { ID, ID_RULE, KEY, KEY_RULE } from "./message.js";

export const Topic = z
  .string()
  .max(MAX_TOPIC_CHARACTERS)
  .refine(isTopic)
  .meta({
    description: `A topic's name; ${TOPIC_RULE}`,
    pattern: "^[A-Za-z0-9_-]+(?::[A-Za-z0-9_-]+)*$",
  });

const Json = z
  .unknown()
  .refine((value) => value !== undefined)
  .meta({ description: "Any JSON; null together with a key deletes that key" });

export const Message = z.strictObject({
  topic: Topic,
  key: z
    .string()
    .regex(KEY)
    .optional()
    .meta({ description: `Key of the topic's state; ${KEY_RULE}` }),
  data: Json,
  id: z
    .string()
    .regex(ID)
    .optional()
    .meta({ description: `Idempotency key within the topic; ${ID_RULE}` }),
});

export const Body = z.union([Message, z.array(Message).min(1).max(MAX_ARRAY_MESSAGES)]);

const code = z.literal(0);
const count = z.int().min(0);
const position = {
  topic: Topic,
  epoch: z.string().meta({ description: "Names one run of the topic's numbering" }),
  offset: count.meta({ description: "Rises by one with each publication" }),
};
const duplicate = z.literal(true).optional().meta({
  description: "Nothing was published: this is the position of the earlier publication with the same id",
});

export const Published = z.object({ code, ...position, duplicate });
export const PublishedAll = z.object({ code, results: z.array(z.object({ ...position, duplicate })) });
export const PublishedLines = z.object({
  code,
  published: count,
  duplicates: count.meta({ description: "Messages with an id that was published before" }),
});
export const Fault = z.object({
  code: z.int().min(4000).max(4399),
  error: z.string().meta({ description: 'What is wrong; begins with "message N:" or "line N:", counted from 1' }),
  published: count.optional().meta({
    description: "Messages of this request that were published before the fault, and remain published",
  }),
});
export const TopicState = z.object({
  ...position,
  subscribers: count,
  history: z.object({ count, bytes: count }),
  state: z.array(z.object({ key: z.string(), data: Json })).meta({ description: "Newest data of each key" }),
  next: z
    .string()
    .optional()
    .meta({ description: "The last key of this page, if more follow: the next page's `after`" }),
});
export const TopicList = z.object({
  total: count.meta({ description: "Number of all topics of the gateway, whatever the parameters are" }),
  topics: z
    .array(
      z.object({
        ...position,
        subscribers: count,
        history: z.object({ count, bytes: count }),
        state: z.object({ keys: count, bytes: count.meta({ description: "Of keys and data, in memory" }) }),
      }),
    )
    .meta({ description: "In the order of their names" }),
  next: Topic.optional().meta({ description: "The next page's `after`; absent on the last page" }),
});
export const SlowReaders = z.object({
  readers: z
    .array(
      z.object({
        address: z.string().meta({ description: "Of the peer: behind a balancer, the balancer's" }),
        topics: z.array(Topic),
        messages: count.meta({ description: "Pushes that it has not been sent so far" }),
        bytes: count,
        sinceMs: z
          .number()
          .meta({ description: "Time of the push that first found its buffer full, Unix milliseconds" }),
        cutMs: z.number().optional().meta({ description: "When it was disconnected; absent while it is connected" }),
      }),
    )
    .meta({ description: "The worst first" }),
});
export const Drain = z.object({
  connections: count,
  workers: z.array(count).meta({ description: "Connections of each worker" }),
  cap: count.meta({ description: "Connections at which one worker stops listening" }),
  returnPerSecond: z.number().min(0).meta({ description: "Clients a second that can reconnect" }),
  goodbyePerSecond: z.number().min(0).meta({ description: "Clients a second that a worker can send its goodbye" }),
  stopSeconds: count,
  stopNoticeSeconds: count,
});
export const Roll = z.object({
  state: z.enum(["none", "rolling", "done", "failed"]),
  replaced: count.meta({ description: "Workers replaced so far, of those that ran at the start" }),
  of: count,
  detail: z.string().meta({ description: "The present step, or why it failed" }),
});
export const Alive = z.object({ status: z.literal("alive") });
const detail = z.array(z.string()).optional().meta({
  description: "Warnings that do not make it unready, such as a worker that does not report",
});
const log = z.string().optional().meta({ description: "What is wrong with the write-ahead log" });
export const Ready = z.object({ status: z.literal("ready"), log, detail });
export const NotReady = z.object({ status: z.literal("not ready"), reasons: z.array(z.string()), log, detail });
export const Processes = z.object({
  processes: z.array(
    z.object({
      role: z.enum(["supervisor", "hub", "worker"]),
      pid: z.int().min(1),
      worker: count.optional(),
      connections: count.optional(),
    }),
  ),
  connections: count,
  clients: z.string().meta({ description: "WebSocket address on which the workers listen" }),
});
