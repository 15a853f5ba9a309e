/**
 * The memory of all topics of one process, and how it is kept below a limit where no topic may be forgotten: histories are
 * shortened, the longest first. Without its history, a client that reconnects late gets the state instead of the missed
 * pushes; a dropped state would be lost. Hub and workers have one each. Pure; each call takes constant time except `shorten`.
 *
 * Histories are in lists by the power of two of their cost, linked through the memories themselves:
 *
 *   #lists[12] ─► memory ◄─► memory        4,096 to 8,191 bytes
 *   #lists[11] ─► memory                   2,048 to 4,095 bytes
 */
import type { TopicMemory } from "./memory.js";

/** More than 2^31 bytes of history do not fit into a topic. */
const LISTS = 32;

export class MemoryBudget {
  /** Of all topics: the memories that `changed` knows, and what the owner adds for entries of its own. */
  bytes = 0;
  /** Histories that were shortened to make room. */
  shortened = 0;
  readonly #lists: (TopicMemory | undefined)[] = new Array<TopicMemory | undefined>(LISTS).fill(undefined);

  /** The memory had `before` bytes and may have more or fewer now. */
  changed(memory: TopicMemory, before: number): void {
    this.bytes += memory.bytes - before;
    this.#enlist(memory);
  }

  removed(memory: TopicMemory): void {
    this.bytes -= memory.bytes;
    this.#unlink(memory);
  }

  /** Shortens the longest histories until no more than `limit` bytes are remembered, or no history is left. */
  shorten(limit: number): void {
    for (let at = LISTS - 1; at > 0 && this.bytes > limit; ) {
      const memory = this.#lists[at];
      if (memory === undefined) {
        at -= 1;
        continue;
      }
      const before = memory.bytes;
      memory.shortenHistory(Math.min(before - (this.bytes - limit), memory.historyCost / 2));
      this.shortened += 1;
      this.changed(memory, before);
    }
  }

  #enlist(memory: TopicMemory): void {
    const list = LISTS - Math.clz32(memory.historyCost);
    if (list === memory.list) return;
    this.#unlink(memory);
    if (list === 0) return;
    const next = this.#lists[list];
    memory.list = list;
    memory.next = next;
    if (next) next.previous = memory;
    this.#lists[list] = memory;
  }

  #unlink(memory: TopicMemory): void {
    const { list, previous, next } = memory;
    if (list === 0) return;
    if (previous) previous.next = next;
    else this.#lists[list] = next;
    if (next) next.previous = previous;
    memory.list = 0;
    memory.previous = undefined;
    memory.next = undefined;
  }
}
