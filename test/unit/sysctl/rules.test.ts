/** How kernel values are compared and merged: sysctl/rules.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatPorts, isLegible, nextValue, parsePorts, plainValue, type Want } from "../../../sysctl/rules.js";

const size = fc.integer({ min: 0, max: 10_000_000 });
const port = fc.integer({ min: 1, max: 65_535 });
const triple = fc.tuple(size, size, size);
const spaced = (parts: readonly number[]): string => parts.join("\t");

/** A want and a present value that its rule can judge. */
const judged: fc.Arbitrary<{ want: Want; now: string }> = fc.oneof(
  fc.record({ want: fc.record({ rule: fc.constant("atLeast" as const), value: size }), now: size.map(String) }),
  fc.record({
    want: fc.record({ rule: fc.constant("atMost" as const), value: size.map((n) => n + 1) }),
    now: size.map(String),
  }),
  fc.record({ want: fc.constant<Want>({ rule: "oneOf", values: ["2", "1"] }), now: fc.constantFrom("0", "1", "2") }),
  fc.record({
    want: fc.record({ rule: fc.constant("covers" as const), low: port, high: port }),
    now: fc.tuple(port, port).map(spaced),
  }),
  fc.record({
    want: fc.record({ rule: fc.constant("reserves" as const), ports: fc.array(port, { minLength: 1, maxLength: 5 }) }),
    now: fc.array(port, { maxLength: 8 }).map(formatPorts),
  }),
  fc.record({
    want: fc.record({ rule: fc.constant("lastAtLeast" as const), values: triple }),
    now: triple.map(spaced),
  }),
  fc.record({ want: fc.record({ rule: fc.constant("lastAtMost" as const), value: size }), now: triple.map(spaced) }),
);

describe("a kernel value against a wanted one", () => {
  it("is enough once the next value has been written, whatever the rule", () => {
    fc.assert(
      fc.property(judged, ({ want, now }) => {
        assert.ok(isLegible(want, now), `${want.rule} cannot read ${now}`);
        const next = nextValue(want, now);
        if (next !== undefined) assert.equal(nextValue(want, next), undefined, `${now} → ${next}`);
      }),
    );
  });

  it("is never lowered by the rules that ask for a minimum, and never raised by those that ask for a maximum", () => {
    fc.assert(
      fc.property(judged, ({ want, now }) => {
        const numbers = (text: string): number[] => text.split(/\s+/).map(Number);
        const old = numbers(now);
        for (const [i, next] of numbers(nextValue(want, now) ?? now).entries()) {
          if (want.rule === "atLeast" || want.rule === "lastAtLeast") assert.ok(next >= old[i]!);
          if (want.rule === "lastAtMost") assert.ok(next <= old[i]!);
        }
      }),
    );
  });

  it("keeps a wider port range, and widens one that sticks out on one side only", () => {
    const want: Want = { rule: "covers", low: 10_000, high: 65_535 };
    assert.equal(nextValue(want, "1024\t65535"), undefined);
    assert.equal(nextValue(want, "1024\t60999"), "1024 65535");
    assert.equal(nextValue(want, "32768\t60999"), "10000 65535");
  });

  it("merges reserved ports with those that are there, in the kernel's spelling", () => {
    const want: Want = { rule: "reserves", ports: [8081, 8080] };
    assert.equal(nextValue(want, ""), "8080-8081");
    assert.equal(nextValue(want, "22,8082-8090"), "22,8080-8090");
    assert.equal(nextValue(want, "8000-9000"), undefined);
    assert.deepEqual([...parsePorts("22,9000-9002")], [22, 9000, 9001, 9002]);
  });

  it("counts 0 as too low for a maximum: a zero low-water mark would stop every sender", () => {
    assert.equal(nextValue({ rule: "atMost", value: 16_384 }, "0"), "16384");
    assert.equal(nextValue({ rule: "atMost", value: 16_384 }, "8192"), undefined);
  });

  it("takes TCP_TIME_WAIT reuse for everyone as better than for loopback only", () => {
    const want: Want = { rule: "oneOf", values: ["2", "1"] };
    assert.deepEqual(
      ["0", "1", "2"].map((now) => nextValue(want, now)),
      ["2", undefined, undefined],
    );
  });

  it("compares numbers beyond 2^53 without taking them for small, as fs.file-max is under systemd", () => {
    assert.equal(nextValue({ rule: "atLeast", value: 2_200_000 }, "9223372036854775807"), undefined);
  });

  it("does not judge a text of another shape", () => {
    assert.equal(isLegible({ rule: "atLeast", value: 1 }, "max"), false);
    assert.equal(isLegible({ rule: "covers", low: 1, high: 2 }, "1"), false);
    assert.equal(isLegible({ rule: "lastAtMost", value: 1 }, "1 2"), false);
  });

  it("has a plain value that satisfies itself, for a file", () => {
    fc.assert(fc.property(judged, ({ want }) => assert.equal(nextValue(want, plainValue(want)), undefined)));
  });
});
