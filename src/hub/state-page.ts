/**
 * A part of a topic's keyed state, for whoever reads it over HTTP: in the order of keys, which stays while values change,
 * so that a reader who goes on after the last key of a page sees every key that was there all the time, once. Pure.
 * Takes one pass over the state and keeps no more than two pages of it.
 */
import type { StateEntry } from "../topics/memory.js";

/** Characters of keys and data in one page; an entry above that is a page of its own. */
const PAGE_CHARACTERS = 1_048_576;

export interface StatePage {
  readonly entries: readonly StateEntry[];
  /** The last key, where more follow. */
  readonly next: string | undefined;
}

type Entry = readonly [key: string, data: string];

/** The first `limit` entries whose key is greater than `after`, by UTF-16 code units. */
export function pageOf(state: Iterable<Entry>, limit: number, after?: string): StatePage {
  const found = smallest(state, limit + 1, after);
  const entries: StateEntry[] = [];
  let characters = 0;
  for (const [key, data] of found.slice(0, limit)) {
    characters += key.length + data.length;
    if (characters > PAGE_CHARACTERS && entries.length > 0) break;
    entries.push({ key, data });
  }
  return { entries, next: entries.length < found.length ? entries.at(-1)?.key : undefined };
}

const byKey = ([a]: Entry, [b]: Entry): number => (a < b ? -1 : a > b ? 1 : 0);

function smallest(state: Iterable<Entry>, count: number, after: string | undefined): readonly Entry[] {
  const found: Entry[] = [];
  let bound: string | undefined;
  for (const entry of state) {
    const [key] = entry;
    if ((after !== undefined && key <= after) || (bound !== undefined && key > bound)) continue;
    found.push(entry);
    if (found.length < 2 * count) continue;
    found.sort(byKey).length = count;
    bound = found.at(-1)?.[0];
  }
  found.sort(byKey);
  return found.slice(0, count);
}
