/**
 * Who each connection is: what it asks for in its handshake. All ask the same, but for scenarios. Runs in generators.
 */
import { type KeyPool, UpgradeRequest } from "./handshake.js";
import type { Duty } from "./messages.js";

/** Who a connection is, where one differs from the next: its request and its topic. */
export interface Identities {
  /** The upgrade request of connection `number`, with the pool's key `key`; valid until the next call. */
  request(pool: KeyPool, key: number, number: number): Buffer;
  topic(number: number): string;
}

export function sameForAll(duty: Duty): Identities {
  const request = new UpgradeRequest(duty.host, duty.path);
  return { request: (pool, key) => request.withKey(pool, key), topic: () => duty.topic };
}
