/**
 * What this worker handed to the native tree in the last turns of its loop, in order. uWebSockets sends later; of a full
 * socket it reports the first message that did not fit and skips the following ones without a word (KERNEL.md §3.4).
 * From here it is known which those were: so the account of a slow reader is exact. Costs one entry a publication and
 * nothing for each subscriber.
 */
import type { Position } from "./publication.js";

/** A position on this worker, with all that had been delivered here before it: differences are exact accounts. */
export interface Place extends Position {
  readonly messages: number;
  readonly bytes: number;
}

export interface Handed {
  readonly name: string;
  /** Where a subscriber stands who did not get it. */
  readonly before: Place;
}

/** A message at whose place nothing earlier counts: who missed a reset must be told anew. */
export const VOID_EPOCH = "";

/** A push or reset begins so; the rest of it is not looked at. */
const HEAD_BYTES = 192;
const PUSH = /^\{"topic":"([^"]+)","offset":(\d+)/;
const RESET = /^\{"event":"reset","topic":"([^"]+)"/;

export class Journal {
  #previous: Handed[] = [];
  #now: Handed[] = [];

  record(name: string, before: Place): void {
    if (this.#now.length === 0 && this.#previous.length === 0) setImmediate(() => this.#turn());
    this.#now.push({ name, before });
  }

  /** Entries outlive the turn in which they were made, because uWebSockets may send at the end of the next. */
  #turn(): void {
    this.#previous = this.#now;
    this.#now = [];
    if (this.#previous.length > 0) setImmediate(() => this.#turn());
  }

  /** That message and everything that was handed over after it; undefined where it is no push: an answer, a pong. */
  from(message: Uint8Array): readonly Handed[] | undefined {
    const head = Buffer.from(message.buffer, message.byteOffset, Math.min(message.byteLength, HEAD_BYTES)).toString();
    const [, pushed, offset] = PUSH.exec(head) ?? [];
    const name = pushed ?? RESET.exec(head)?.[1];
    if (name === undefined) return undefined;
    const all = [...this.#previous, ...this.#now];
    const isIt = ({ name: of, before }: Handed): boolean =>
      of === name &&
      (before.epoch === VOID_EPOCH) === (offset === undefined) &&
      (offset === undefined || before.offset === Number(offset) - 1);
    const at = all.findIndex(isIt);
    return at < 0 ? undefined : all.slice(at);
  }
}
