/**
 * Topics in the address of a connection: the gateway answers them with the handshake, which saves a message and a round
 * trip for each client of a storm. Those answers carry no id, so this file remembers which request each belongs to.
 *
 * A browser does not learn why a handshake was refused, and one topic too many refuses it. So when an address with topics
 * fails, the next attempts have none: 1, 3, 7 … 63 of them after failures in a row. If an attempt without topics fails too,
 * the topics were not the cause.
 */
import { type Position, urlTopic } from "./protocol.js";

interface Follower {
  readonly topic: string;
  readonly position: Position | undefined;
}

/** The gateway's default is 32 for a connection. */
const MAX_TOPICS = 16;
/**
 * uWebSockets answers 505 to a request line that comes in two TCP segments; an address of this length fits into one even on
 * a link with the smallest MTU of IPv6, 1,280 bytes.
 */
export const MAX_ADDRESS_BYTES = 1200;
const PARAMETER = "topics=";
const MAX_FAILURES = 6;

export class UrlTopics<F extends Follower> {
  readonly #isWanted: boolean;
  /** Topics in the address of this attempt that are not answered yet, by the id of their request. */
  readonly requests = new Map<number, F>();
  /** Whether this attempt's address has topics, and whether one was answered; undefined between attempts. */
  #attempt: { readonly named: boolean; answered: boolean } | undefined;
  #failures = 0;
  /** How many of the next attempts have no topics. */
  #attemptsWithout = 0;

  constructor(isWanted: boolean) {
    this.#isWanted = isWanted;
  }

  /** The address of the next attempt, with as many of these topics as fit, the first first. */
  addTo(address: string, followers: Iterable<F>, nextId: () => number): string {
    this.requests.clear();
    const names =
      this.#isWanted && this.#attemptsWithout === 0 && mayCarry(address) ? this.#name(address, followers, nextId) : [];
    this.#attempt = { named: names.length > 0, answered: false };
    if (names.length === 0) return address;
    return `${address}${address.includes("?") ? "&" : "?"}${PARAMETER}${names.join(",")}`;
  }

  #name(address: string, followers: Iterable<F>, nextId: () => number): string[] {
    const names: string[] = [];
    // Each name takes a comma, the first one the `?` or `&`.
    let bytesLeft = MAX_ADDRESS_BYTES - addressBytes(address) - PARAMETER.length;
    for (const follower of followers) {
      if (names.length === MAX_TOPICS) break;
      const name = urlTopic(follower.topic, follower.position);
      if (name === undefined || name.length >= bytesLeft) continue;
      bytesLeft -= name.length + 1;
      names.push(name);
      this.requests.set(nextId(), follower);
    }
    return names;
  }

  idFor(follower: F): number | undefined {
    return this.#find((other) => other === follower);
  }

  /** The id of the request to which an answer without an id belongs; undefined if this client did not ask for the topic. */
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

  /** The attempt has failed, or its connection has ended. */
  ended(wasOpen: boolean): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.requests.clear();
    if (!attempt) return;
    if (attempt.answered) {
      this.#failures = 0;
    } else if (attempt.named) {
      this.#failures = Math.min(this.#failures + 1, MAX_FAILURES);
      this.#attemptsWithout = 2 ** this.#failures - 1;
    } else if (wasOpen) {
      this.#attemptsWithout = Math.max(this.#attemptsWithout - 1, 0);
    } else if (this.#attemptsWithout > 0) {
      this.#failures -= 1;
      this.#attemptsWithout = 0;
    }
  }
}

/** Length on the wire, or a little more: a character that is not plain ASCII becomes `%XX` for each of at most four bytes. */
export function addressBytes(address: string): number {
  return address.replace(/[^!-~]/gu, "%XX%XX%XX%XX").length;
}

/** Not if the user put topics into it, nor with a fragment, after which nothing is sent. */
function mayCarry(address: string): boolean {
  return !/[?&]topics=|#/.test(address);
}
