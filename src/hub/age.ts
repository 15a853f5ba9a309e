/**
 * Topics without subscribers in the order of their last use, the oldest first: those that may be forgotten. A list linked
 * through its members, because a Map of a million that is reordered with each publication scans what it deleted (a
 * broadcast to a million topics took minutes). Every step takes the same short time. Hub process only.
 */
export interface Aged<T> {
  older: T | undefined;
  newer: T | undefined;
  isListed: boolean;
}

export class AgeList<T extends Aged<T>> {
  #oldest: T | undefined;
  #newest: T | undefined;

  get oldest(): T | undefined {
    return this.#oldest;
  }

  /** Makes it the newest, whether it is in the list or not. */
  touch(entry: T): void {
    if (entry === this.#newest) return;
    this.remove(entry);
    entry.isListed = true;
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
  }

  remove(entry: T): void {
    if (!entry.isListed) return;
    const { older, newer } = entry;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    entry.isListed = false;
    entry.older = undefined;
    entry.newer = undefined;
  }
}
