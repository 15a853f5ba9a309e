import assert from "node:assert/strict";
import { it } from "node:test";
import { GatewayError } from "../../../src/errors.js";
import { pageRequest } from "../../../src/publish/page-request.js";

it("reads limit and after, as forms encode them", () => {
  assert.deepEqual(pageRequest("/topics/t"), { limit: 1000, after: undefined });
  assert.deepEqual(pageRequest("/topics/t?"), { limit: 1000, after: undefined });
  assert.deepEqual(pageRequest("/topics/t?limit=10000&after=a%26b+c=%3F?"), { limit: 10_000, after: "a&b c=??" });
});

it("refuses anything else, with the rule", () => {
  for (const [query, expected] of [
    ["limit=0", /limit: a whole number from 1 to 10000/],
    ["limit=10001", /limit: a whole number/],
    ["limit=1e3", /limit: a whole number/],
    ["limit=", /limit: a whole number/],
    ["limit=1&limit=2", /limit is given twice/],
    ["after=", /after: a key of the state, a string of 1–256 characters/],
    ["after=%00", /after: a key/],
    ["after=%zz", /% is followed by/],
    ["after=%ff", /% is followed by/],
    ["offset=3", /no parameter offset; there are limit and after/],
  ] as const) {
    assert.throws(
      () => pageRequest(`/topics/t?${query}`),
      (error) => error instanceof GatewayError && error.kind === "badRequest" && expected.test(error.detail),
      query,
    );
  }
});
