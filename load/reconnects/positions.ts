/**
 * The position of each connection in its topic, over all its reconnects: which pushes it received once, twice or never, and
 * which losses the gateway announced. 20 bytes a connection. Pure; runs in generators.
 * A push names its predecessor: whatever lies between that and the last push received was lost without an announcement.
 */
import type { GatewayEvent, Push, Subscribed } from "../generator/protocol.js";
import type { Position } from "./steps.js";

export class Positions {
  readonly #offsets: Float64Array;
  /** Offsets up to which a recovered answer promised pushes; 0 for none. */
  readonly #owed: Float64Array;
  readonly #epochs: Uint32Array;
  readonly #epochNames: string[] = [""];
  readonly #epochIds = new Map([["", 0]]);
  delivered = 0;
  duplicates = 0;
  gaps = 0;
  lost = 0;
  dropped = 0;
  replaced = 0;
  voided = 0;
  resets = 0;
  /** Connections that have not received all that was promised. */
  owing = 0;

  constructor(connections: number) {
    this.#offsets = new Float64Array(connections);
    this.#owed = new Float64Array(connections);
    this.#epochs = new Uint32Array(connections);
  }

  /** The position to continue from at the next handshake. */
  at(number: number): Position {
    return { epoch: this.#epochNames[this.#epochs[number]!]!, offset: this.#offsets[number]! };
  }

  /** The first subscription. */
  joined(number: number, { epoch, offset }: Subscribed): void {
    this.#offsets[number] = offset;
    this.#epochs[number] = this.#epochId(epoch);
  }

  /** A subscription that continues from a position; false while promised pushes are missing. */
  rejoined(number: number, answer: Subscribed): boolean {
    const { epoch, offset } = this.at(number);
    if (answer.recovered && answer.epoch === epoch) {
      if (answer.offset <= offset) return true;
      this.#owed[number] = answer.offset;
      this.owing++;
      return false;
    }
    this.#begin(number, answer);
    return true;
  }

  /** The connection ended; its next handshake asks again for what is missing. */
  left(number: number): void {
    if (this.#owed[number] !== 0) this.owing--;
    this.#owed[number] = 0;
  }

  /** True when this push was the last one that was missing. */
  onPush(number: number, { offset, previous }: Push): boolean {
    const last = this.#offsets[number]!;
    if (offset <= last) {
      this.duplicates++;
      return false;
    }
    this.delivered++;
    if (previous > last) {
      this.gaps++;
      this.lost += previous - last;
    }
    this.replaced += offset - 1 - Math.max(previous, last);
    return this.#moveTo(number, offset);
  }

  /** `dropped` and `reset`; true when after it nothing promised is missing. */
  onEvent(number: number, event: GatewayEvent): boolean {
    if (event.name === "reset") {
      this.resets++;
      const owed = this.#owed[number] !== 0;
      this.left(number);
      this.#begin(number, event);
      return owed;
    }
    const last = this.#offsets[number]!;
    if (event.to <= last) return false;
    if (event.from > last + 1) {
      this.gaps++;
      this.lost += event.from - 1 - last;
    }
    this.dropped += event.to - Math.max(last, event.from - 1);
    return this.#moveTo(number, event.to);
  }

  /** Of all connections for which `headOf` returns the newest position of their topic: how many have not reached it. */
  behind(headOf: (number: number) => Position | null | false): { behind: number; behindMessages: number } {
    let behind = 0;
    let behindMessages = 0;
    for (let number = 0; number < this.#offsets.length; number++) {
      const head = headOf(number);
      const missing = head ? this.#missing(number, head) : 0;
      if (missing > 0) behind++;
      behindMessages += missing;
    }
    return { behind, behindMessages };
  }

  #missing(number: number, head: Position): number {
    const { epoch, offset } = this.at(number);
    if (epoch !== head.epoch) return head.offset;
    return Math.max(0, head.offset - offset);
  }

  #begin(number: number, to: Position): void {
    const { epoch, offset } = this.at(number);
    // How many pushes another epoch had is unknown: it counts as one.
    if (epoch === to.epoch) this.voided += Math.max(0, to.offset - offset);
    else if (epoch !== "") this.voided++;
    this.#offsets[number] = to.offset;
    this.#epochs[number] = this.#epochId(to.epoch);
  }

  #moveTo(number: number, offset: number): boolean {
    this.#offsets[number] = offset;
    const owed = this.#owed[number]!;
    if (owed === 0 || offset < owed) return false;
    this.#owed[number] = 0;
    this.owing--;
    return true;
  }

  #epochId(epoch: string): number {
    const known = this.#epochIds.get(epoch);
    if (known !== undefined) return known;
    this.#epochIds.set(epoch, this.#epochNames.push(epoch) - 1);
    return this.#epochNames.length - 1;
  }
}
