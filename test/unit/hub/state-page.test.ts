/** A large state is read page by page, while values change. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pageOf } from "../../../src/hub/state-page.js";

const walk = (state: () => Map<string, string>, limit: number): string[] => {
  const keys: string[] = [];
  for (let after: string | undefined, pages = 0; ; pages++) {
    assert.ok(pages < 1000, "the pages come to an end");
    const { entries, next } = pageOf(state(), limit, after);
    keys.push(...entries.map(({ key }) => key));
    assert.ok(entries.length <= limit);
    if (next === undefined) return keys;
    assert.equal(next, entries.at(-1)?.key);
    after = next;
  }
};

describe("pages of a state", () => {
  it("together are the state in the order of keys, for any keys and any limit", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "grapheme" })), fc.integer({ min: 1, max: 20 }), (keys, limit) => {
        const state = new Map(keys.map((key) => [key, `"${key.length}"`]));
        assert.deepEqual(
          walk(() => state, limit),
          keys.toSorted((a, b) => (a < b ? -1 : 1)),
        );
      }),
    );
  });

  it("show every key that exists all the time exactly once, although values change between the pages", () => {
    const state = new Map(Array.from({ length: 100 }, (_, i) => [`k${i}`, "1"]));
    let reads = 0;
    const keys = walk(() => {
      // A change moves the key to the end, as in a topic's memory.
      for (const key of [`k${reads}`, `k${99 - reads}`]) {
        state.delete(key);
        state.set(key, "2");
      }
      reads += 1;
      return state;
    }, 7);
    assert.equal(keys.length, 100);
    assert.equal(new Set(keys).size, 100);
  });

  it("end at a mebibyte, and have at least one entry", () => {
    const state = new Map(
      Array.from({ length: 40 }, (_, i) => [`k${String(i).padStart(2, "0")}`, "x".repeat(100_000)]),
    );
    assert.equal(pageOf(state, 40).entries.length, 10);
    assert.equal(walk(() => state, 40).length, 40);
    assert.equal(pageOf(new Map([["k", "x".repeat(3_000_000)]]), 40).entries.length, 1);
  });
});
