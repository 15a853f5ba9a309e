/**
 * Who each connection is: what it asks for in its handshake. All ask the same, or each for a topic of its own, but for
 * scenarios. Runs in generators.
 */
import { type KeyPool, UpgradeRequest } from "./handshake.js";
import type { GeneratorConfig } from "./messages.js";
import { TopicPattern } from "./topics.js";

/** Who a connection is, where one differs from the next: its request and its topic. */
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

/** The numbers of one generator's connections; that of a failed attempt is used again, so that each is open once. */
export class Numbers {
  readonly #unused: number[] = [];

  constructor(private next: number) {}

  take(): number {
    return this.#unused.pop() ?? this.next++;
  }

  giveBack(number: number): void {
    this.#unused.push(number);
  }
}
