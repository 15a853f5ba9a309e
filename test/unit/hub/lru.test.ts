import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { type Lru, LruList } from "../../../src/hub/lru.js";

interface Entry extends Lru<Entry> {
  readonly name: number;
}

it("keeps the order of the last touch, whatever is touched and removed", () => {
  const step = fc.record({ name: fc.nat(7), isTouch: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100, size: "max" }), (steps) => {
      const list = new LruList<Entry>();
      const entries = Array.from({ length: 8 }, (_, name): Entry => {
        return { name, older: undefined, newer: undefined, list: undefined };
      });
      const model: number[] = [];
      for (const { name, isTouch } of steps) {
        if (model.includes(name)) model.splice(model.indexOf(name), 1);
        if (isTouch) model.push(name);
        if (isTouch) list.touch(entries[name]!);
        else list.remove(entries[name]!);
        const order: number[] = [];
        for (let entry = list.oldest; entry; entry = entry.newer) order.push(entry.name);
        assert.deepEqual(order, model);
      }
    }),
  );
});
