/** Any handshake at all is admitted with valid topics, or refused with a row of errors.ts; it never throws. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { decideUpgrade, refusePlain } from "../../../src/socket/upgrade.js";
import { isTopic } from "../../../src/topics/name.js";
import { runs } from "../../support/runs.js";

const entry = fc.oneof(
  fc.constantFrom(
    "a",
    "b:c",
    "a@x.0:5",
    "a@x.0:-1",
    "@",
    "a@b@c:1",
    "",
    "__proto__",
    "\u0000",
    "a@x:999999999999999999",
  ),
  fc.string({ unit: "binary", maxLength: 8 }),
);
/** Any text, and texts as clients write them. */
const query = fc.oneof(
  fc.array(entry, { maxLength: 12 }).map((entries) => `topics=${entries.join(",")}`),
  fc.array(entry, { maxLength: 12 }).map((entries) => `x=%&topics=a&topics=${encodeURIComponent(entries.join(","))}`),
  fc.array(fc.constantFrom("%", "%6", "%61", "&", "=", "topics", "a", ",")).map((parts) => parts.join("")),
  fc.constant(""),
);

it("any handshake is admitted with valid topics or refused", () => {
  let admitted = 0;
  const { numRuns } = runs(2000);
  const version = fc.constantFrom("13", "13", "13", "8", "", "13 ", "013");
  fc.assert(
    fc.property(version, fc.string(), query, (v, protocols, named) => {
      const decision = decideUpgrade({ version: v, protocols, query: named, authorization: undefined }, 8);
      if ("reason" in decision) {
        assert.ok(decision.error.row.http >= 400 && decision.error.row.code >= 4000);
        return;
      }
      admitted += 1;
      assert.equal(v, "13");
      assert.ok(decision.topics.length <= 8);
      assert.equal(new Set(decision.topics.map(({ topic }) => topic)).size, decision.topics.length);
      for (const { topic, since } of decision.topics) {
        assert.ok(isTopic(topic));
        if (since) assert.ok(Number.isSafeInteger(since.offset) && since.offset >= 0);
      }
    }),
    { numRuns },
  );
  assert.ok(admitted > numRuns / 100, `${admitted} of ${numRuns} were admitted`);
});

it("any plain request is refused", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (upgrade, method) => {
      assert.ok(refusePlain({ upgrade, method }).error.row.http >= 400);
    }),
  );
});
