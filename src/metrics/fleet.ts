/**
 * The numbers of all workers, as the hub knows them: the last counters that each sent, added up. The counters of a worker that is
 * gone are kept, so that totals never fall; its live connections are counted as closed by its death. Pure state; hub process only.
 */
import { SLOT, SLOT_NAMES, type SlotName, WORKER_METRICS } from "./catalog.js";
import { REFUSE_REASONS, type RefuseReason } from "./reasons.js";

interface Member {
  readonly pid: number;
  values: Float64Array;
  /** It has sent its counters since it was linked. */
  hasReported: boolean;
}

const HANDSHAKE_REFUSALS = Object.keys(REFUSE_REASONS) as RefuseReason[];

export class Fleet {
  readonly #members = new Map<number, Member>();
  /** Sums of the counters of workers that are gone. */
  readonly #retired = new Float64Array(SLOT_NAMES.length);

  get size(): number {
    return this.#members.size;
  }

  /** Members that have sent their counters. */
  get counted(): number {
    return [...this.#members.values()].filter(({ hasReported }) => hasReported).length;
  }

  joined(worker: number, pid: number): void {
    const known = this.#members.get(worker);
    // The same process on a new link: its totals go on.
    if (known?.pid === pid) return;
    if (known) this.#retire(known);
    this.#members.set(worker, { pid, values: new Float64Array(SLOT_NAMES.length), hasReported: false });
  }

  update(worker: number, values: Float64Array): void {
    const member = this.#members.get(worker);
    if (!member || values.length !== SLOT_NAMES.length) return;
    member.values = values;
    member.hasReported = true;
  }

  /** The worker's process is gone (not only its link). */
  gone(worker: number, pid: number): void {
    const member = this.#members.get(worker);
    if (member?.pid !== pid) return;
    this.#members.delete(worker);
    this.#retire(member);
  }

  #retire({ values }: Member): void {
    SLOT_NAMES.forEach((name, i) => {
      if (WORKER_METRICS[name].type === "counter") this.#retired[i]! += values[i]!;
    });
    this.#retired[SLOT.closed_worker_lost]! += values[SLOT.connections]!;
  }

  /** One metric over all workers. */
  total(name: SlotName): number {
    const slot = SLOT[name];
    const each = [...this.#members.values()].map((member) => member.values[slot]!);
    if (WORKER_METRICS[name].combine === "max") return Math.max(0, ...each);
    return each.reduce((sum, value) => sum + value, this.#retired[slot]!);
  }

  /** Workers that accept connections, without those that are silent: their numbers are old. */
  listening(silent: ReadonlySet<number>): number {
    return [...this.#members].filter(([worker, { values }]) => values[SLOT.listening] === 1 && !silent.has(worker))
      .length;
  }

  /** The input of the storm budget: handshakes answered, seconds of busy event loops, handshakes that wait. */
  storm(): { handshakes: number; busySeconds: number; waiting: number } {
    const refused = HANDSHAKE_REFUSALS.reduce((sum, reason) => sum + this.total(`refused_${reason}`), 0);
    return {
      handshakes: this.total("accepted") + refused,
      busySeconds: this.total("busySeconds"),
      waiting: this.total("waiting"),
    };
  }

  /** Worker index → its process and live connections. */
  members(): { worker: number; pid: number; connections: number }[] {
    return [...this.#members]
      .map(([worker, { pid, values }]) => ({ worker, pid, connections: values[SLOT.connections]! }))
      .sort((a, b) => a.worker - b.worker);
  }
}
