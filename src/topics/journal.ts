/**
 * The messages that this worker published natively in the last two turns of its loop, in order. uWebSockets sends them
 * later; of a full socket it reports the first message that did not fit and silently skips the following ones
 * (src/README.md fact 15). The journal knows which those were, so that what a slow reader missed is counted exactly. Costs one
 * entry a publication and nothing per subscriber. Worker only.
 */
import type { Position } from "./publication.js";

/**
 * A position in a topic on this worker, with the sums of everything that was delivered on this worker before it: the
 * difference of two cursors is exactly what lies between them.
 */
export interface Cursor extends Position {
  readonly messages: number;
  readonly bytes: number;
}

export interface JournalEntry {
  readonly name: string;
  /** The cursor of a subscriber that did not get the message. */
  readonly before: Cursor;
}

/** The epoch of a cursor before a reset: a subscriber that missed the reset must be sent the state again. */
export const VOID_EPOCH = "";

/** Enough to recognise a push or a reset; the rest of a message is not read. */
const HEAD_BYTES = 192;
const PUSH = /^\{"topic":"([^"]+)","offset":(\d+)/;
const RESET = /^\{"event":"reset","topic":"([^"]+)"/;

export class Journal {
  #previous: JournalEntry[] = [];
  #now: JournalEntry[] = [];

  record(name: string, before: Cursor): void {
    if (this.#now.length === 0 && this.#previous.length === 0) setImmediate(() => this.#turn());
    this.#now.push({ name, before });
  }

  /** Entries outlive the turn in which they were made, because uWebSockets may send at the end of the next turn. */
  #turn(): void {
    this.#previous = this.#now;
    this.#now = [];
    if (this.#previous.length > 0) setImmediate(() => this.#turn());
  }

  /** The entry of the message and all later ones; undefined where it was not published: an answer, a pong. */
  entriesFrom(message: Uint8Array): readonly JournalEntry[] | undefined {
    const head = Buffer.from(message.buffer, message.byteOffset, Math.min(message.byteLength, HEAD_BYTES)).toString();
    const [, pushed, offset] = PUSH.exec(head) ?? [];
    const name = pushed ?? RESET.exec(head)?.[1];
    if (name === undefined) return undefined;
    const all = [...this.#previous, ...this.#now];
    const isIt = ({ name: of, before }: JournalEntry): boolean =>
      of === name &&
      (before.epoch === VOID_EPOCH) === (offset === undefined) &&
      (offset === undefined || before.offset === Number(offset) - 1);
    const at = all.findIndex(isIt);
    return at < 0 ? undefined : all.slice(at);
  }
}
