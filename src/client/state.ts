/**
 * A topic's keyed state, kept only if a subscription asked for it: the last value of each key; `null` deletes. It is whole after
 * an answer that carries all of it; before that it has only the keys that changed since.
 */
import type { Entry } from "./protocol.js";

const NOTHING: ReadonlyMap<string, unknown> = new Map();

export class KeyedState {
  #entries: Map<string, unknown> | undefined;
  isWhole = false;

  get isTracked(): boolean {
    return this.#entries !== undefined;
  }

  get entries(): ReadonlyMap<string, unknown> {
    return this.#entries ?? NOTHING;
  }

  /** From now on the state is kept. */
  track(): void {
    this.#entries ??= new Map();
  }

  /** Returns the new state, whether it is kept or not. */
  replace(data: readonly Entry[], isWhole: boolean): ReadonlyMap<string, unknown> {
    const entries = new Map(data.map((entry) => [entry.key, entry.data]));
    this.isWhole = isWhole && this.isTracked;
    if (this.isTracked) this.#entries = entries;
    return entries;
  }

  apply(key: string | undefined, data: unknown): void {
    if (!this.#entries || key === undefined) return;
    if (data === null) this.#entries.delete(key);
    else this.#entries.set(key, data);
  }
}
