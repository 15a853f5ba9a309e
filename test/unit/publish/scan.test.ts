/** The check of an array before it is parsed: counts as the parser does, and refuses bombs before they cost anything. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { GatewayError } from "../../../src/errors.js";
import { type ArrayLimits, scanArray } from "../../../src/publish/scan.js";
import { runs } from "../../support/runs.js";

const NONE: ArrayLimits = { messages: Infinity, messageBytes: Infinity, marks: Infinity };
const refused = (text: string, limits: Partial<ArrayLimits>): string | undefined => {
  try {
    scanArray(Buffer.from(text), { ...NONE, ...limits });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.kind, "publicationTooBig");
    return error.message;
  }
};

/** Fields and brackets of a value. */
function marksOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const inner = Object.values(value).reduce<number>((sum, each) => sum + marksOf(each), 1);
  return Array.isArray(value) ? inner : inner + Object.keys(value).length;
}

it("counts messages, fields and brackets, whatever is in strings", () => {
  const value = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom('"', "\\", '\\"', "[,:{", '","', "}]"));
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 8 }), fc.constantFrom(undefined, 2), (values, indent) => {
      const text = JSON.stringify(values, null, indent);
      const parsed = JSON.parse(text) as unknown[];
      assert.equal(refused(text, { messages: parsed.length }), undefined);
      assert.equal(refused(text, { marks: marksOf(parsed) }), undefined);
      assert.match(refused(text, { marks: marksOf(parsed) - 1 })!, /fields and brackets/);
      if (parsed.length > 1) assert.match(refused(text, { messages: parsed.length - 1 })!, /more than \d messages/);
    }),
    runs(1000),
  );
});

it("a message that is too long is named, strings included", () => {
  assert.equal(refused(`[1,"${"x".repeat(50)}",3]`, { messageBytes: 40 }), "message 2 has more than 40 bytes");
  assert.equal(refused(`[1,"${"x".repeat(30)}",3]`, { messageBytes: 40 }), undefined);
});

it("terminates for any bytes", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => scanArray(Buffer.from(bytes), NONE)));
  assert.equal(refused('["\\', {}), undefined);
});
