/**
 * One page of a topic's keyed state, for `GET /topics/{name}`: in the order of keys, which does not change with the values,
 * so that a reader that goes on after the last key of each page gets every key that existed all the time, exactly once. Pure.
 * Takes one pass over the state and holds no more than two pages of it.
 */
import type { StateEntry } from "../topics/memory.js";

/** Characters of keys and data in one page; a larger entry is a page by itself. */
const PAGE_CHARACTERS = 1_048_576;

export interface StatePage {
  readonly entries: readonly StateEntry[];
  /** The last key of this page, if more keys follow. */
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
