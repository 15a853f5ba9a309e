/**
 * Topics in the address of a connection: the gateway answers them with the handshake, which spares a message and a round
 * trip for each client of a storm. Those answers carry no id, so here is kept which request each is for.
 *
 * A refused handshake does not tell a browser why, and one topic too many refuses all. So an address with topics is on
 * trial: when it fails, the next attempts go without, as many as 1, 3, 7 … 63 after failures in a row. An attempt
 * without them that fails too shows that it was not theirs.
 */
import { type Position, urlTopic } from "./protocol.js";

interface Follower {
  readonly topic: string;
  readonly position: Position | undefined;
}

/** The gateway's default is 32 for a connection. */
const MAX_TOPICS = 16;
/**
 * uWebSockets answers 505 to a request line that comes in two TCP segments; even on a link with the least MTU of IPv6, 1,280
 * bytes, an address of so many bytes fits into one.
 */
export const MAX_ADDRESS_BYTES = 1200;
const PARAMETER = "topics=";
const MAX_FAILURES = 6;

export class UrlTopics<F extends Follower> {
  readonly #isWanted: boolean;
  /** Named in the address of this attempt and not answered yet, by the id that their request has. */
  readonly requests = new Map<number, F>();
  /** What is known of this attempt, once it is one. */
  #attempt: { readonly named: boolean; answered: boolean } | undefined;
  #failures = 0;
  /** Attempts that still go without. */
  #without = 0;

  constructor(isWanted: boolean) {
    this.#isWanted = isWanted;
  }

  /** The address of the next attempt; the first of these topics are in it, as far as it can carry them. */
  addTo(address: string, followers: Iterable<F>, nextId: () => number): string {
    this.requests.clear();
    const names =
      this.#isWanted && this.#without === 0 && mayCarry(address) ? this.#name(address, followers, nextId) : [];
    this.#attempt = { named: names.length > 0, answered: false };
    if (names.length === 0) return address;
    return `${address}${address.includes("?") ? "&" : "?"}${PARAMETER}${names.join(",")}`;
  }

  #name(address: string, followers: Iterable<F>, nextId: () => number): string[] {
    const names: string[] = [];
    // A comma for each name, and before the first the `?` or `&`.
    let room = MAX_ADDRESS_BYTES - addressBytes(address) - PARAMETER.length;
    for (const follower of followers) {
      if (names.length === MAX_TOPICS) break;
      const name = urlTopic(follower.topic, follower.position);
      if (name === undefined || name.length >= room) continue;
      room -= name.length + 1;
      names.push(name);
      this.requests.set(nextId(), follower);
    }
    return names;
  }

  idFor(follower: F): number | undefined {
    return this.#find((other) => other === follower);
  }

  /** An answer without an id: the id of the request that it is for; undefined if it is not ours. */
  answered(topic: string | undefined): number | undefined {
    const id = this.#find((follower) => follower.topic === topic);
    if (id === undefined) return undefined;
    this.requests.delete(id);
    if (this.#attempt) this.#attempt.answered = true;
    return id;
  }

  #find(is: (follower: F) => boolean): number | undefined {
    for (const [id, follower] of this.requests) if (is(follower)) return id;
    return undefined;
  }

  /** The attempt is over, or the connection that came of it. */
  over(wasOpen: boolean): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.requests.clear();
    if (!attempt) return;
    if (attempt.answered) {
      this.#failures = 0;
    } else if (attempt.named) {
      this.#failures = Math.min(this.#failures + 1, MAX_FAILURES);
      this.#without = 2 ** this.#failures - 1;
    } else if (wasOpen) {
      this.#without = Math.max(this.#without - 1, 0);
    } else if (this.#without > 0) {
      this.#failures -= 1;
      this.#without = 0;
    }
  }
}

/** As it travels, or a little more: what is not plain ASCII becomes `%XX` for each of at most four bytes. */
export function addressBytes(address: string): number {
  return address.replace(/[^!-~]/gu, "%XX%XX%XX%XX").length;
}

/** What names topics itself is left to its author; behind a fragment nothing is sent. */
function mayCarry(address: string): boolean {
  return !/[?&]topics=|#/.test(address);
}
