/**
 * What a client may do, as patterns of topic names: compiled from the claim `megagate` of its token, or from the configured
 * defaults where the token has none. Sockets with equal claims share one grant, found by its canonical text, because a
 * million sockets must not hold a million lists; claims are not kept. Pure; runs in workers.
 *
 *   {"megagate": {"subscribe": ["news", "user:{sub}", "call:7:*"], "query": [], "publish": []}}
 *
 * `news` is that topic alone; `user:*` every topic that begins with `user:`, but not `user`, as --topic-rules' prefixes end
 * at a colon; `*` every topic. `{sub}` stands for the token's sub, and only where that is a legal part of a topic name: the
 * sub `1:admin` must not open `user:1:admin`. Without `query`, the patterns of `subscribe` hold for Query too.
 */
import { isTopic, MAX_TOPIC_CHARACTERS } from "../topics/name.js";

export const ACTIONS = ["subscribe", "query", "publish"] as const;
export type Action = (typeof ACTIONS)[number];

/** Of one token, over all actions. */
export const MAX_PATTERNS = 100;

/** Grants that are found again; sockets with others have their own, which ends with them. */
const MAX_SHARED_GRANTS = 1024;

const SUB = "{sub}";
/** One part of a topic name. */
const PART = /^[A-Za-z0-9_-]+$/;

/** Undefined for a text that is not a pattern. */
function parsePatterns(patterns: readonly unknown[]): Patterns | undefined {
  return patterns.every(isPattern) ? new Patterns(patterns) : undefined;
}

/** `{sub}` stands where a part could stand, and `*` at the end only. */
export function isPattern(pattern: unknown): pattern is string {
  if (typeof pattern !== "string" || pattern.length > MAX_TOPIC_CHARACTERS) return false;
  const parts = pattern.split(":");
  if (parts.at(-1) === "*") parts.pop();
  return parts.every((part) => part === SUB || PART.test(part));
}

/** Whether the text is patterns joined by commas, as an option has them. */
export function isPatternList(text: string): boolean {
  const patterns = text.split(",").map((pattern) => pattern.trim());
  return patterns.length <= MAX_PATTERNS && patterns.every(isPattern);
}

/** The patterns of one action. */
class Patterns {
  /** Sorted, without repetitions. */
  readonly canonical: string;
  readonly #names = new Set<string>();
  /** Each ends with a colon, or is empty and fits every topic. */
  readonly #prefixes: string[] = [];
  readonly #withSub: string[] = [];

  constructor(patterns: readonly string[]) {
    const distinct = [...new Set(patterns)].sort();
    this.canonical = distinct.join(",");
    for (const pattern of distinct) {
      if (pattern.includes(SUB)) this.#withSub.push(pattern);
      else if (pattern.endsWith("*")) this.#prefixes.push(pattern.slice(0, -1));
      else this.#names.add(pattern);
    }
  }

  fits(topic: string, sub: string | undefined): boolean {
    if (this.#names.has(topic) || this.#prefixes.some((prefix) => topic.startsWith(prefix))) return true;
    if (this.#withSub.length === 0 || sub === undefined || !PART.test(sub)) return false;
    return this.#withSub.some((pattern) => fitsOne(pattern.replaceAll(SUB, sub), topic));
  }
}

const fitsOne = (pattern: string, topic: string): boolean =>
  pattern.endsWith("*") ? topic.startsWith(pattern.slice(0, -1)) : topic === pattern;

/** Shared by all sockets whose tokens allow the same. */
export class Grant {
  readonly #patterns: Readonly<Record<Action, Patterns>>;

  constructor(patterns: Readonly<Record<Action, Patterns>>) {
    this.#patterns = patterns;
  }

  allows(action: Action, topic: string, sub: string | undefined): boolean {
    return isTopic(topic) && this.#patterns[action].fits(topic, sub);
  }
}

export class Grants {
  readonly #shared = new BoundedMap<Grant>();
  /** By the JSON of the claim: finds most grants without reading the patterns, which costs four times as much. */
  readonly #bySpelling = new BoundedMap<Grant>();
  readonly #default: Grant | undefined;

  /** `defaults` are the patterns of tokens without the claim, for subscribe and query. */
  constructor(defaults: readonly string[]) {
    this.#default = this.of({ subscribe: defaults });
  }

  /** The grant of a claim; undefined where the claim is malformed or too large. An empty or missing list grants nothing. */
  of(claim: unknown): Grant | undefined {
    if (claim === undefined) return this.#default;
    const spelling = JSON.stringify(claim);
    const grant = this.#bySpelling.get(spelling) ?? this.#read(claim);
    if (grant) this.#bySpelling.set(spelling, grant);
    return grant;
  }

  #read(claim: unknown): Grant | undefined {
    const patterns = readClaim(claim);
    if (!patterns) return undefined;
    const canonical = ACTIONS.map((action) => patterns[action].canonical).join(" ");
    const grant = this.#shared.get(canonical) ?? new Grant(patterns);
    this.#shared.set(canonical, grant);
    return grant;
  }

  /** Grants that are found again. */
  get size(): number {
    return this.#shared.size;
  }
}

/** The first that came goes first. */
class BoundedMap<V> {
  readonly #map = new Map<string, V>();

  get size(): number {
    return this.#map.size;
  }

  get(key: string): V | undefined {
    return this.#map.get(key);
  }

  set(key: string, value: V): void {
    if (this.#map.has(key)) return;
    if (this.#map.size >= MAX_SHARED_GRANTS) {
      const [oldest] = this.#map.keys();
      this.#map.delete(oldest!);
    }
    this.#map.set(key, value);
  }
}

function readClaim(claim: unknown): Record<Action, Patterns> | undefined {
  if (typeof claim !== "object" || claim === null || Array.isArray(claim)) return undefined;
  const members = Object.entries(claim);
  if (!members.every(([name, list]) => (ACTIONS as readonly string[]).includes(name) && Array.isArray(list)))
    return undefined;
  if (members.reduce((sum, [, list]) => sum + (list as unknown[]).length, 0) > MAX_PATTERNS) return undefined;
  const { subscribe = [], query = subscribe, publish = [] } = claim as Partial<Record<Action, unknown[]>>;
  const patterns = {
    subscribe: parsePatterns(subscribe),
    query: parsePatterns(query),
    publish: parsePatterns(publish),
  };
  return patterns.subscribe && patterns.query && patterns.publish ? (patterns as Record<Action, Patterns>) : undefined;
}
