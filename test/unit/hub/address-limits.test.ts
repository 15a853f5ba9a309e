import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type AddressCount, Addresses } from "../../../src/admission/addresses.js";
import { AddressBook } from "../../../src/hub/address-limits.js";
import { ADDRESSES_A_FRAME, type AtLimit } from "../../../src/hub/wire.js";

const LIMIT = 3;

describe("the sum over all workers", () => {
  it("closes an address at the limit and opens it below, and says each once", () => {
    const said: AtLimit[] = [];
    const book = new AddressBook<string>(LIMIT, (news) => said.push(news));
    book.report("one", [["a", 2]]);
    book.flush();
    assert.deepEqual(said, []);
    book.report("two", [
      ["a", 1],
      ["b", 1],
    ]);
    book.flush();
    assert.deepEqual(said.splice(0), [{ type: "atLimit", yes: ["a"], no: [] }]);
    book.report("two", [["a", 2]]);
    book.flush();
    assert.deepEqual(said, [], "it is there already");
    assert.deepEqual([...book.standing()], [{ type: "atLimit", yes: ["a"], no: [] }]);
    book.left("one");
    book.flush();
    assert.deepEqual(said, [{ type: "atLimit", yes: [], no: ["a"] }]);
    book.left("two");
    assert.equal(book.size, 0, "nothing stays");
  });

  it("says nothing of an address that came and went between two looks; many are said in bounded frames", () => {
    const sizes: number[] = [];
    const book = new AddressBook<string>(1, (news) => sizes.push(news.yes.length));
    book.report("one", [["a", 1]]);
    book.report("one", [["a", 0]]);
    book.flush();
    assert.deepEqual(sizes, []);
    const many = Array.from({ length: 2 * ADDRESSES_A_FRAME + 1 }, (_, n) => [String(n), 1] as const);
    book.report("one", many);
    book.flush();
    assert.deepEqual(sizes, [ADDRESSES_A_FRAME, ADDRESSES_A_FRAME, 1]);
    book.left("one");
    book.flush();
  });
});

/** Workers, a hub and the frames between them, which arrive when the test says so. */
class World {
  readonly workers = [0, 1, 2].map(() => ({ addresses: new Addresses(LIMIT, true), held: [] as AddressCount[] }));
  book = this.#createBook();

  #createBook(): AddressBook<object> {
    return new AddressBook(LIMIT, (news) => {
      for (const { addresses } of this.workers) addresses.updateAtLimit(news.yes, news.no);
    });
  }

  settle(): void {
    for (const worker of this.workers) {
      for (let counts = worker.addresses.report(2); counts.length > 0; counts = worker.addresses.report(2)) {
        this.book.report(worker, counts);
      }
    }
    this.book.flush();
  }

  die(n: number): void {
    this.book.left(this.workers[n]!);
    this.workers[n] = { addresses: new Addresses(LIMIT, true), held: [] };
    for (const news of this.book.standing()) this.workers[n].addresses.updateAtLimit(news.yes, news.no);
  }

  loseHub(): void {
    this.book.flush();
    this.book = this.#createBook();
    for (const { addresses } of this.workers) addresses.relinked();
  }

  /** The truth: live connections of an address over all workers. */
  total(address: string): number {
    return this.workers.flatMap(({ held }) => held).filter((one) => one.address === address).length;
  }
}

it("once everything has arrived, an address is let in exactly where the workers together hold fewer than its limit", () => {
  const worker = fc.nat(2);
  const address = fc.constantFrom("a", "b", "c");
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("enter" as const), worker, address }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("leave" as const), worker, which: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("settle" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const), worker }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("loseHub" as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const world = new World();
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
        if (each.do === "settle") settled();
        else if (each.do === "loseHub") world.loseHub();
        else if (each.do === "die") world.die(each.worker);
        else if (each.do === "enter") {
          const { addresses, held } = world.workers[each.worker]!;
          const one = addresses.acquire(each.address);
          if (one) held.push(one);
        } else {
          const { addresses, held } = world.workers[each.worker]!;
          const [one] = held.splice(each.which % Math.max(1, held.length), 1);
          if (one) addresses.release(one);
        }
      }
      settled();
      for (let n = 0; n < 3; n++) world.die(n);
      world.book.flush();
      assert.equal(world.book.size, 0, "who is gone gives everything back");
    }),
  );
});
