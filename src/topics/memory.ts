/**
 * What one topic remembers: a ring of its last publications, bounded by count, bytes and age, and the last value of each
 * key. The hub and every worker's replica hold one each, made by the same steps, so that they are equal. Pure but for the
 * time that is given to it. Costs memory per topic, never per socket.
 */
import { dataOf, type Publication } from "./publication.js";
import type { TopicRule } from "./rules.js";

export interface Remembered {
  readonly offset: number;
  readonly push: Uint8Array;
  readonly atMs: number;
  /** Kept for replicas that catch up: they update their keyed state by it. */
  readonly key: string | undefined;
}

export interface StateEntry {
  readonly key: string;
  /** JSON text. */
  readonly data: string;
}

/** Map entry, string headers and object of one remembered publication or value, bytes (measured: about 150). */
const ENTRY_BYTES = 150;
/** `{"key":"","data":""},` around an entry on its way to a replica. */
const PUNCTUATION = 22;

export class TopicMemory {
  #ring: Remembered[] = [];
  #head = 0;
  #ringBytes = 0;
  #state: Map<string, string> | undefined;
  #stateBytes = 0;

  constructor(private readonly rule: TopicRule) {}

  get bytes(): number {
    const entries = this.#ring.length - this.#head + (this.#state?.size ?? 0);
    return this.#ringBytes + this.#stateBytes + entries * ENTRY_BYTES;
  }

  get keepsHistory(): boolean {
    return this.rule.historyCount > 0;
  }

  get history(): { count: number; bytes: number } {
    return { count: this.#ring.length - this.#head, bytes: this.#ringBytes };
  }

  /** False when the publication would add a key beyond the rule; nothing is changed then. */
  accepts(key: string | undefined, data: string): boolean {
    if (key === undefined || this.rule.stateKeys === 0 || data === "null") return true;
    return this.#state === undefined || this.#state.size < this.rule.stateKeys || this.#state.has(key);
  }

  /** Characters of the keyed state, were this publication remembered, with what names and parts its entries. */
  stateSizeWith(key: string | undefined, data: string): number {
    const now = this.#stateBytes + (this.#state?.size ?? 0) * PUNCTUATION;
    if (key === undefined || this.rule.stateKeys === 0) return now;
    const before = this.#state?.get(key);
    const without = before === undefined ? now : now - (before.length + key.length + PUNCTUATION);
    return data === "null" ? without : without + data.length + key.length + PUNCTUATION;
  }

  /** Remembers a publication. `push` is kept as it is: copy it before if it is a view of something larger. */
  add(publication: Publication, nowMs: number): void {
    const { key, offset, push } = publication;
    if (key !== undefined && this.rule.stateKeys > 0) this.#setState(key, dataOf(publication));
    if (this.rule.historyCount > 0) this.#remember({ offset, push, atMs: nowMs, key });
  }

  #remember(entry: Remembered): void {
    this.#ring.push(entry);
    this.#ringBytes += entry.push.length;
    this.#trim(entry.atMs);
  }

  #trim(nowMs: number): void {
    const { historyCount, historyBytes, historySeconds } = this.rule;
    const oldestMs = nowMs - historySeconds * 1000;
    while (this.#head < this.#ring.length) {
      const first = this.#ring[this.#head]!;
      const count = this.#ring.length - this.#head;
      if (count <= historyCount && this.#ringBytes <= historyBytes && first.atMs >= oldestMs) break;
      this.#ringBytes -= first.push.length;
      this.#head += 1;
    }
    if (this.#head > 32 && this.#head * 2 > this.#ring.length) {
      this.#ring = this.#ring.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Whether all publications after `offset` up to `last` are remembered. */
  reaches(offset: number, last: number, nowMs: number): boolean {
    if (offset >= last) return offset === last;
    this.#trim(nowMs);
    const first = this.#ring[this.#head];
    return first !== undefined && first.offset <= offset + 1;
  }

  /** The publications after `offset` up to `last`, in order, or undefined when they are not all remembered. */
  since(offset: number, last: number, nowMs: number): readonly Remembered[] | undefined {
    if (!this.reaches(offset, last, nowMs)) return undefined;
    if (offset === last) return [];
    // Offsets rise by one, so that the place is known.
    return this.#ring.slice(this.#head + (offset + 1 - this.#ring[this.#head]!.offset));
  }

  /** Everything that is remembered, for a replica. */
  all(): readonly Remembered[] {
    return this.#ring.slice(this.#head);
  }

  #setState(key: string, data: string): void {
    this.#state ??= new Map();
    const before = this.#state.get(key);
    if (before !== undefined) this.#stateBytes -= before.length + key.length;
    // Deleted first in any case: the state is in the order of the last change, the same in every replica.
    this.#state.delete(key);
    if (data !== "null") {
      this.#state.set(key, data);
      this.#stateBytes += data.length + key.length;
    }
  }

  get state(): StateEntry[] {
    return [...(this.#state ?? [])].map(([key, data]) => ({ key, data }));
  }

  /** `[{"key":…,"data":…},…]` */
  encodeState(): Buffer {
    const entries = this.state.map(({ key, data }) => `{"key":${JSON.stringify(key)},"data":${data}}`);
    return Buffer.from(`[${entries.join(",")}]`);
  }

  /** Takes over what another replica remembers. */
  restore(history: readonly Remembered[], state: readonly StateEntry[]): void {
    this.#ring = [...history];
    this.#head = 0;
    this.#ringBytes = history.reduce((sum, entry) => sum + entry.push.length, 0);
    this.#state = undefined;
    this.#stateBytes = 0;
    for (const { key, data } of state) this.#setState(key, data);
  }
}
