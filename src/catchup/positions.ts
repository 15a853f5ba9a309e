/**
 * How many parked sockets each topic has: they are its subscribers too, though the native tree does not know them. What a
 * parked socket itself keeps is one place for each of its topics, in the map that is given here.
 */
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { Place } from "../topics/journal.js";

/** Where one socket stands in each of its topics. */
export type PlacesOfOne = Map<string, Place>;

export class Places {
  readonly #counts = new Map<string, number>();

  /** `emptied`: the last parked socket of the topic is gone or live again. */
  constructor(private readonly emptied: (topic: string) => void) {}

  count(topic: string): number {
    return this.#counts.get(topic) ?? 0;
  }

  follow(places: PlacesOfOne, name: string, place: Place): void {
    if (!places.has(name)) {
      this.#counts.set(name, this.count(name) + 1);
      counters[SLOT.subscriptions]! += 1;
    }
    places.set(name, place);
  }

  /** False when the socket did not follow it. */
  unfollow(places: PlacesOfOne, name: string): boolean {
    if (!places.delete(name)) return false;
    const count = this.count(name) - 1;
    if (count === 0) {
      this.#counts.delete(name);
      this.emptied(name);
    } else this.#counts.set(name, count);
    counters[SLOT.subscriptions]! -= 1;
    return true;
  }
}
