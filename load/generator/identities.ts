/**
 * The identity of each connection: its topic, and the handshake that subscribes to it. In a steady run all have one topic, or
 * each has its own; scenarios bring their own identities (reconnects/identities.ts). Runs in generators.
 */
import { type KeyPool, UpgradeRequest } from "./handshake.js";
import type { GeneratorConfig } from "./messages.js";
import { TopicPattern } from "./topics.js";

/** The request and the topic of each connection. */
export interface Identities {
  /** The upgrade request of connection `number`, with the pool's key `key`; valid until the next call. */
  request(pool: KeyPool, key: number, number: number): Buffer;
  topic(number: number): string;
}

export function identitiesOf(config: GeneratorConfig): Identities {
  const request = new UpgradeRequest(config.host, config.path, config.numberAt);
  const topics = new TopicPattern(config.topic, config.ofAll);
  if (!topics.isOwn) return { request: (pool, key) => request.withKey(pool, key), topic: () => config.topic };
  return {
    request(pool, key, number) {
      request.setNumber(topics.padded(number));
      return request.withKey(pool, key);
    },
    topic: (number) => topics.of(number),
  };
}

/** The numbers of one generator's connections; the number of a failed attempt is used again, so that each is open once. */
export class Numbers {
  #next: number;
  readonly #unused: number[] = [];

  constructor(next: number) {
    this.#next = next;
  }

  take(): number {
    return this.#unused.pop() ?? this.#next++;
  }

  giveBack(number: number): void {
    this.#unused.push(number);
  }
}
