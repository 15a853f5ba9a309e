/**
 * `GET /topics?prefix=&after=&limit=`: the topics of the hub, in the order of their names, a page at a time, with
 * subscribers and sizes. A page costs one walk over all topics, in steps between which the hub goes on publishing, and one
 * question to each worker that follows any topic of the page. Hub process only.
 */
import { setImmediate as turn } from "node:timers/promises";
import { GatewayError } from "../errors.js";
import type { TopicSize } from "./hub.js";

/** The part of the hub that is needed here. */
interface Sizes {
  readonly topics: number;
  sizes(): Iterable<TopicSize>;
}
interface Subscribers {
  subscribersOfEach(names: readonly string[]): Promise<readonly number[]>;
}

interface Page {
  readonly prefix: string;
  /** The last name of the previous page; "" for the first page. */
  readonly after: string;
  readonly limit: number;
}

export interface TopicList {
  /** Number of all topics of the gateway, whatever the parameters are. */
  readonly total: number;
  readonly topics: readonly (TopicSize & { readonly subscribers: number })[];
  /** `after` of the next page; absent on the last page. */
  readonly next?: string;
}

export const DEFAULT_LIMIT = 100;
/** 1,000 topics are 200 KB of JSON. */
export const MAX_LIMIT = 1000;
/** A million topics cost 0.2 to 0.3 s of CPU (measured), in steps of this size 1 to 1.5 ms each. */
const TOPICS_A_STEP = 5000;

export async function listTopics(hub: Sizes, workers: Subscribers, url: string): Promise<TopicList> {
  const page = pageOf(url);
  const found = await firstOf(hub.sizes(), page);
  const topics = found.slice(0, page.limit);
  const counts = await workers.subscribersOfEach(topics.map(({ topic }) => topic));
  const last = topics.at(-1);
  return {
    total: hub.topics,
    topics: topics.map((topic, i) => ({ ...topic, subscribers: counts[i] ?? 0 })),
    ...(found.length > topics.length && last && { next: last.topic }),
  };
}

const PARAMETERS = ["prefix", "after", "limit"];

/** Throws badRequest, for unknown parameters too: a misspelt one must not list everything. */
function pageOf(url: string): Page {
  const at = url.indexOf("?");
  const given = new URLSearchParams(at < 0 ? "" : url.slice(at));
  for (const name of given.keys()) {
    if (!PARAMETERS.includes(name))
      throw new GatewayError("badRequest", `no parameter ${JSON.stringify(name)}; there are ${PARAMETERS.join(", ")}`);
    if (given.getAll(name).length > 1) throw new GatewayError("badRequest", `${name}: give it once`);
  }
  const limit = given.get("limit") ?? String(DEFAULT_LIMIT);
  if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > MAX_LIMIT)
    throw new GatewayError("badRequest", `limit: a whole number from 1 to ${MAX_LIMIT}`);
  return { prefix: given.get("prefix") ?? "", after: given.get("after") ?? "", limit: Number(limit) };
}

/** The first `limit + 1` names after `after`. The list is kept short on the way: a page must not cost sorting a million names. */
async function firstOf(all: Iterable<TopicSize>, { prefix, after, limit }: Page): Promise<TopicSize[]> {
  let found: TopicSize[] = [];
  let bound: string | undefined;
  let seen = 0;
  const shorten = (): void => {
    found = found.sort((a, b) => (a.topic < b.topic ? -1 : 1)).slice(0, limit + 1);
    if (found.length > limit) bound = found.at(-1)!.topic;
  };
  for (const topic of all) {
    if (++seen % TOPICS_A_STEP === 0) await turn();
    const name = topic.topic;
    if (name <= after || !name.startsWith(prefix) || (bound !== undefined && name >= bound)) continue;
    found.push(topic);
    if (found.length > 4 * (limit + 1)) shorten();
  }
  shorten();
  return found;
}
