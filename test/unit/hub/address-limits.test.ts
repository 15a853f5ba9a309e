import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type AddressEntry, ClientAddresses } from "../../../src/admission/addresses.js";
import { AddressLimits } from "../../../src/hub/address-limits.js";
import { ADDRESSES_A_FRAME, type AtLimit } from "../../../src/hub/wire.js";

const LIMIT = 3;

describe("address limits over all workers", () => {
  it("notifies once when an address reaches its limit, and once when it falls below it", () => {
    const notified: AtLimit[] = [];
    const limits = new AddressLimits<string>(LIMIT, (change) => notified.push(change));
    limits.report("one", [["a", 2]]);
    limits.flush();
    assert.deepEqual(notified, []);
    limits.report("two", [
      ["a", 1],
      ["b", 1],
    ]);
    limits.flush();
    assert.deepEqual(notified.splice(0), [{ type: "atLimit", yes: ["a"], no: [] }]);
    limits.report("two", [["a", 2]]);
    limits.flush();
    assert.deepEqual(notified, [], "it was at the limit already");
    assert.deepEqual([...limits.current()], [{ type: "atLimit", yes: ["a"], no: [] }]);
    limits.unlinked("one");
    limits.flush();
    assert.deepEqual(notified, [{ type: "atLimit", yes: [], no: ["a"] }]);
    limits.unlinked("two");
    assert.equal(limits.size, 0, "no entry stays");
  });

  it("does not notify of an address that came and went between two flushes; splits many addresses into bounded frames", () => {
    const sizes: number[] = [];
    const limits = new AddressLimits<string>(1, (change) => sizes.push(change.yes.length));
    limits.report("one", [["a", 1]]);
    limits.report("one", [["a", 0]]);
    limits.flush();
    assert.deepEqual(sizes, []);
    const many = Array.from({ length: 2 * ADDRESSES_A_FRAME + 1 }, (_, n) => [String(n), 1] as const);
    limits.report("one", many);
    limits.flush();
    assert.deepEqual(sizes, [ADDRESSES_A_FRAME, ADDRESSES_A_FRAME, 1]);
    limits.unlinked("one");
    limits.flush();
  });
});

type Step =
  | { readonly type: "enter"; readonly worker: number; readonly address: string }
  | { readonly type: "leave"; readonly worker: number; readonly which: number }
  | { readonly type: "die"; readonly worker: number }
  | { readonly type: "settle" }
  | { readonly type: "loseHub" };

/** Three workers, a hub, and the frames between them, which arrive when the test calls `settle`. */
class Workers {
  readonly workers = [0, 1, 2].map(() => ({ addresses: new ClientAddresses(LIMIT, true), held: [] as AddressEntry[] }));
  limits = this.#createLimits();

  #createLimits(): AddressLimits<object> {
    return new AddressLimits(LIMIT, (change) => {
      for (const { addresses } of this.workers) addresses.updateAtLimit(change.yes, change.no);
    });
  }

  settle(): void {
    for (const worker of this.workers) {
      for (let counts = worker.addresses.report(2); counts.length > 0; counts = worker.addresses.report(2)) {
        this.limits.report(worker, counts);
      }
    }
    this.limits.flush();
  }

  run(step: Exclude<Step, { type: "settle" }>): void {
    switch (step.type) {
      case "loseHub":
        this.loseHub();
        break;
      case "die":
        this.die(step.worker);
        break;
      case "enter": {
        const { addresses, held } = this.workers[step.worker]!;
        const one = addresses.acquire(step.address);
        if (one) held.push(one);
        break;
      }
      case "leave": {
        const { addresses, held } = this.workers[step.worker]!;
        const [one] = held.splice(step.which % Math.max(1, held.length), 1);
        if (one) addresses.release(one);
        break;
      }
      default:
        step satisfies never;
    }
  }

  die(n: number): void {
    this.limits.unlinked(this.workers[n]!);
    this.workers[n] = { addresses: new ClientAddresses(LIMIT, true), held: [] };
    for (const change of this.limits.current()) this.workers[n].addresses.updateAtLimit(change.yes, change.no);
  }

  loseHub(): void {
    this.limits.flush();
    this.limits = this.#createLimits();
    for (const { addresses } of this.workers) addresses.relinked();
  }

  /** The truth: live connections of an address over all workers. */
  total(address: string): number {
    return this.workers.flatMap(({ held }) => held).filter((one) => one.address === address).length;
  }
}

it("once all frames have arrived, every worker accepts an address exactly if all workers together hold fewer than its limit", () => {
  const worker = fc.nat(2);
  const address = fc.constantFrom("a", "b", "c");
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant("enter" as const), worker, address }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant("leave" as const), worker, which: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant("settle" as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("die" as const), worker }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("loseHub" as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const world = new Workers();
      const settled = (): void => {
        world.settle();
        for (const one of ["a", "b", "c"]) {
          for (const { addresses } of world.workers) {
            const held = addresses.acquire(one);
            assert.equal(held !== undefined, world.total(one) < LIMIT, `${one}: ${world.total(one)}`);
            if (held) addresses.release(held);
          }
        }
      };
      for (const each of steps) {
        if (each.type === "settle") settled();
        else world.run(each);
      }
      settled();
      for (let n = 0; n < 3; n++) world.die(n);
      world.limits.flush();
      assert.equal(world.limits.size, 0, "no count stays when all workers are gone");
    }),
  );
});
