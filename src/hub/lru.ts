/**
 * Topics in the order of their last use, the oldest first. A list linked through its members, because a Map of a million
 * entries that is reordered with each publication scans its deleted entries (one publication to each of a million topics
 * took minutes). Every step takes constant time. A member is in one list at most. Hub process only.
 */
export interface Lru<T extends Lru<T>> {
  older: T | undefined;
  newer: T | undefined;
  list: LruList<T> | undefined;
}

export class LruList<T extends Lru<T>> {
  #oldest: T | undefined;
  #newest: T | undefined;

  get oldest(): T | undefined {
    return this.#oldest;
  }

  /** Makes it the newest, whether it is in this list, in another or in none. */
  touch(entry: T): void {
    if (entry === this.#newest) return;
    entry.list?.remove(entry);
    entry.list = this;
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
  }

  /** Only for a member of this list. */
  remove(entry: T): void {
    if (entry.list !== this) return;
    const { older, newer } = entry;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    entry.list = undefined;
    entry.older = undefined;
    entry.newer = undefined;
  }
}
