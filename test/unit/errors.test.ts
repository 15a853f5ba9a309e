/** The table of errors is one that clients can go by. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERRORS } from "../../src/errors.js";

const rows = Object.entries(ERRORS);

describe("the table of errors", () => {
  it("gives each code one meaning: 4018 and 4019 had two", () => {
    const names = new Map<number, string[]>();
    for (const [name, { code }] of rows) names.set(code, [...(names.get(code) ?? []), name]);
    const shared = [...names].filter(([, those]) => those.length > 1);
    assert.deepEqual(shared, []);
  });

  it("keeps to the ranges that tell a client what to do", () => {
    const RANGES = { stay: [4000, 4099], now: [4100, 4199], window: [4200, 4299], never: [4300, 4399] } as const;
    for (const [name, row] of rows) {
      // Ends a command, and reaches no client.
      if ("exit" in row) continue;
      const [low, high] = RANGES[row.retry];
      assert.ok(row.code >= low && row.code <= high, `${name}: ${row.code} is not in ${low}–${high} of "${row.retry}"`);
    }
  });
});
