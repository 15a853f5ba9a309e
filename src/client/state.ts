/**
 * A topic's keyed state, kept only if somebody asked for it: last value of each key, `null` deletes. It is whole once
 * it came with an answer that carries all of it; before that it has only the keys that changed since.
 */
import type { Entry } from "./protocol.js";

const NOTHING: ReadonlyMap<string, unknown> = new Map();

export class KeyedState {
  #entries: Map<string, unknown> | undefined;
  isWhole = false;

  get isWanted(): boolean {
    return this.#entries !== undefined;
  }

  get entries(): ReadonlyMap<string, unknown> {
    return this.#entries ?? NOTHING;
  }

  want(): void {
    this.#entries ??= new Map();
  }

  /** Returns the new state, whether it is kept or not. */
  replace(data: readonly Entry[], isWhole: boolean): ReadonlyMap<string, unknown> {
    const entries = new Map(data.map((entry) => [entry.key, entry.data]));
    this.isWhole = isWhole && this.isWanted;
    if (this.isWanted) this.#entries = entries;
    return entries;
  }

  apply(key: string | undefined, data: unknown): void {
    if (!this.#entries || key === undefined) return;
    if (data === null) this.#entries.delete(key);
    else this.#entries.set(key, data);
  }
}
