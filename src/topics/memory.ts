/**
 * The memory of one topic: a ring of its last publications, bounded by count, bytes and age (the history), and the last
 * value of each key (the keyed state). The hub and every replica in a worker hold one each and change it by the same steps,
 * so that they are equal. Pure; the caller passes the time, which is monotonic (clock.ts). Costs memory per topic, never
 * per socket.
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

/** Heap of one remembered publication without its bytes: object, buffer and ring entry (measured by test/bench/topic-memory.ts). */
const HISTORY_ENTRY_BYTES = 220;
/** Heap of one key of the state without its text: map entry and two string headers (measured likewise). */
const STATE_ENTRY_BYTES = 90;
/** Heap of the object itself, of its ring and of its map of keys; the latter two only while they hold something. */
const MEMORY_BYTES = 140;
const RING_BYTES = 150;
const STATE_BYTES = 120;
/** `{"key":"","data":""},` around an entry on its way to a replica. */
const PUNCTUATION = 22;

/** Bytes of a string in V8: one a character, or two where a character is beyond Latin-1 (beyond ASCII here, which errs upwards). */
const textBytes = (text: string): number => (Buffer.byteLength(text) === text.length ? text.length : 2 * text.length);

export class TopicMemory {
  /** Entries before `#head` are dropped: the array is copied only when enough of them have piled up. */
  #ring: (Remembered | undefined)[] = [];
  #head = 0;
  #ringBytes = 0;
  #state: Map<string, string> | undefined;
  /** Characters of keys and values: what the state needs in a frame. */
  #stateCharacters = 0;
  /** Heap bytes of keys and values. */
  #stateBytes = 0;
  /** Links of the list of histories in memory-budget.ts that holds this memory; `list` 0 is none. */
  list = 0;
  previous: TopicMemory | undefined;
  next: TopicMemory | undefined;

  readonly #rule: TopicRule;

  constructor(rule: TopicRule) {
    this.#rule = rule;
  }

  /** Estimated heap bytes: what --topic-memory-bytes bounds. */
  get bytes(): number {
    return MEMORY_BYTES + this.historyCost + this.#stateCost;
  }

  get historyCost(): number {
    const count = this.#ring.length - this.#head;
    return count === 0 ? 0 : RING_BYTES + this.#ringBytes + count * HISTORY_ENTRY_BYTES;
  }

  get #stateCost(): number {
    return this.#state === undefined ? 0 : STATE_BYTES + this.#stateBytes + this.#state.size * STATE_ENTRY_BYTES;
  }

  get keepsHistory(): boolean {
    return this.#rule.historyCount > 0;
  }

  get history(): { count: number; bytes: number } {
    return { count: this.#ring.length - this.#head, bytes: this.#ringBytes };
  }

  get stateSize(): { keys: number; bytes: number } {
    return { keys: this.#state?.size ?? 0, bytes: this.#stateBytes };
  }

  /** False when the publication would add a key beyond the rule; nothing is changed then. */
  accepts(key: string | undefined, data: string): boolean {
    if (key === undefined || this.#rule.stateKeys === 0 || data === "null") return true;
    return this.#state === undefined || this.#state.size < this.#rule.stateKeys || this.#state.has(key);
  }

  /** Characters of the keyed state in a frame, punctuation included, as they would be with this publication. */
  stateSizeWith(key: string | undefined, data: string): number {
    const now = this.#stateCharacters + (this.#state?.size ?? 0) * PUNCTUATION;
    if (key === undefined || this.#rule.stateKeys === 0) return now;
    const before = this.#state?.get(key);
    const without = before === undefined ? now : now - (before.length + key.length + PUNCTUATION);
    return data === "null" ? without : without + data.length + key.length + PUNCTUATION;
  }

  /** Heap bytes by which the state grows with this publication; 0 or less where it does not. */
  stateGrowth(key: string | undefined, data: string): number {
    if (key === undefined || this.#rule.stateKeys === 0) return 0;
    const before = this.#state?.get(key);
    const entry = (text: string): number => textBytes(key) + textBytes(text) + STATE_ENTRY_BYTES;
    const own = this.#state === undefined ? STATE_BYTES : 0;
    return (data === "null" ? 0 : own + entry(data)) - (before === undefined ? 0 : entry(before));
  }

  /** Remembers a publication. `push` is kept without a copy: the caller must copy a view of something larger. */
  add(publication: Publication, nowMs: number): void {
    const { key, offset, push } = publication;
    if (key !== undefined && this.#rule.stateKeys > 0) this.#setState(key, dataOf(publication));
    if (this.#rule.historyCount > 0) this.#remember({ offset, push, atMs: nowMs, key });
  }

  #remember(entry: Remembered): void {
    this.#ring.push(entry);
    this.#ringBytes += entry.push.length;
    this.#trim(entry.atMs);
  }

  #trim(nowMs: number): void {
    const { historyCount, historyBytes } = this.#rule;
    const oldestMs = this.#oldestMs(nowMs);
    while (this.#head < this.#ring.length) {
      const count = this.#ring.length - this.#head;
      if (count <= historyCount && this.#ringBytes <= historyBytes && this.#ring[this.#head]!.atMs >= oldestMs) break;
      this.#dropOldest();
    }
    this.#compact();
  }

  #oldestMs(nowMs: number): number {
    return nowMs - this.#rule.historySeconds * 1000;
  }

  #dropOldest(): void {
    this.#ringBytes -= this.#ring[this.#head]!.push.length;
    this.#ring[this.#head] = undefined;
    this.#head += 1;
  }

  #compact(): void {
    if (this.#head === this.#ring.length || (this.#head > 32 && this.#head * 2 > this.#ring.length)) {
      this.#ring = this.#ring.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Forgets the oldest publications until the history costs no more than `bytes`. */
  shortenHistory(bytes: number): void {
    while (this.#head < this.#ring.length && this.historyCost > bytes) this.#dropOldest();
    this.#compact();
  }

  /** Whether all publications after `offset` up to `last` are remembered. */
  reaches(offset: number, last: number, nowMs: number): boolean {
    return offset >= last ? offset === last : this.#indexAfter(offset, nowMs) !== undefined;
  }

  /** Offsets rise by one, so the index follows from the first offset; undefined where the entry is dropped or too old. */
  #indexAfter(offset: number, nowMs: number): number | undefined {
    const first = this.#ring[this.#head];
    if (first === undefined || first.offset > offset + 1) return undefined;
    const index = this.#head + (offset + 1 - first.offset);
    const entry = this.#ring[index];
    return entry !== undefined && entry.atMs >= this.#oldestMs(nowMs) ? index : undefined;
  }

  /** The publications after `offset` up to `last`, in order, or undefined when they are not all remembered. */
  since(offset: number, last: number, nowMs: number): readonly Remembered[] | undefined {
    if (offset === last) return [];
    const index = offset < last ? this.#indexAfter(offset, nowMs) : undefined;
    return index === undefined ? undefined : (this.#ring.slice(index) as Remembered[]);
  }

  /** The whole history, for a replica. */
  all(): readonly Remembered[] {
    return this.#ring.slice(this.#head) as Remembered[];
  }

  #setState(key: string, data: string): void {
    this.#state ??= new Map();
    const before = this.#state.get(key);
    if (before !== undefined) this.#countState(key, before, -1);
    // Always deleted first: the state is in the order of the last change, the same in every replica.
    this.#state.delete(key);
    if (data !== "null") {
      this.#state.set(key, data);
      this.#countState(key, data, 1);
    }
    if (this.#state.size === 0) this.#state = undefined;
  }

  #countState(key: string, data: string, sign: 1 | -1): void {
    this.#stateCharacters += sign * (key.length + data.length);
    this.#stateBytes += sign * (textBytes(key) + textBytes(data));
  }

  /** Key and JSON text of each entry, without a copy: a view that the caller must not keep. */
  entries(): Iterable<readonly [key: string, data: string]> {
    return this.#state ?? [];
  }

  get state(): StateEntry[] {
    return [...(this.#state ?? [])].map(([key, data]) => ({ key, data }));
  }

  /** `[{"key":…,"data":…},…]` */
  encodeState(): Buffer {
    const entries = this.state.map(({ key, data }) => `{"key":${JSON.stringify(key)},"data":${data}}`);
    return Buffer.from(`[${entries.join(",")}]`);
  }

  /** Replaces everything by the content of another replica. */
  restore(history: readonly Remembered[], state: readonly StateEntry[]): void {
    this.#ring = [...history];
    this.#head = 0;
    this.#ringBytes = history.reduce((sum, entry) => sum + entry.push.length, 0);
    this.#state = undefined;
    this.#stateCharacters = 0;
    this.#stateBytes = 0;
    for (const { key, data } of state) this.#setState(key, data);
  }
}
