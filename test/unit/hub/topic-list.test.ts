/** `GET /topics`: pages in the order of names, whatever the order and number of topics. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { GatewayError } from "../../../src/errors.js";
import type { Hub } from "../../../src/hub/hub.js";
import { listTopics, MAX_LIMIT } from "../../../src/hub/topic-list.js";
import { TopicRules } from "../../../src/topics/rules.js";
import { makeHub, RULE } from "../../support/hub.js";

const hubWith = (names: Iterable<string>): Hub => {
  const hub = makeHub({ rules: new TopicRules(RULE, ""), memoryBytes: 1e9 });
  for (const topic of names) hub.publish({ topic, data: "1", key: "k" });
  return hub;
};
/** Each topic has as many subscribers as its name has letters. */
const workers = { subscribersOfEach: (names: readonly string[]) => Promise.resolve(names.map(({ length }) => length)) };
const names = async (hub: Hub, query: string): Promise<string[]> =>
  (await listTopics(hub, workers, `/topics${query}`)).topics.map(({ topic }) => topic);

describe("the list of topics", () => {
  it("has position, subscribers and sizes of each", async () => {
    const hub = hubWith(["exts"]);
    hub.publish({ topic: "exts", data: '"talking"', key: "8001" });
    const { total, topics, next } = await listTopics(hub, workers, "/topics");
    assert.deepEqual([total, next, topics.length], [1, undefined, 1]);
    const { epoch: _, history, state, ...rest } = topics[0]!;
    assert.deepEqual(rest, { topic: "exts", offset: 2, subscribers: 4 });
    assert.equal(state.keys, 2);
    assert.ok(state.bytes >= 15, String(state.bytes));
    assert.equal(history.count, 2);
    assert.ok(history.bytes > 50);
  });

  it("gives each topic of a prefix once, in order, page by page", async () => {
    const name = fc.stringMatching(/^[ab]{1,3}(:[ab]{1,2})?$/);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(name),
        fc.constantFrom("", "a", "ab:", "b"),
        fc.integer({ min: 1, max: 5 }),
        async (given, prefix, limit) => {
          const hub = hubWith(given);
          const seen: string[] = [];
          for (let after = ""; ; ) {
            const page = await listTopics(hub, workers, `/topics?prefix=${prefix}&limit=${limit}&after=${after}`);
            assert.ok(page.topics.length <= limit);
            seen.push(...page.topics.map(({ topic }) => topic));
            if (page.next === undefined) break;
            after = page.next;
          }
          assert.deepEqual(seen, given.filter((topic) => topic.startsWith(prefix)).sort());
        },
      ),
      { numRuns: 200 },
    );
  });

  it("lets the hub go on while it walks over many topics", async () => {
    const hub = hubWith(Array.from({ length: 50_000 }, (_, i) => `t${i}`));
    let turns = 0;
    const counter = setInterval(() => turns++, 0);
    const listed = await names(hub, `?limit=${MAX_LIMIT}`);
    clearInterval(counter);
    assert.equal(listed.length, MAX_LIMIT);
    assert.deepEqual(listed, [...listed].sort());
    assert.ok(turns > 0, "the walk never yielded to the loop");
  });

  it("refuses unknown or wrong parameters, instead of listing everything", async () => {
    const hub = hubWith(["a"]);
    for (const [query, expected] of [
      ["?prefx=a", /no parameter "prefx"; there are prefix, after, limit/],
      ["?limit=0", /limit: a whole number from 1 to 1000/],
      ["?limit=1001", /limit: /],
      ["?limit=ten", /limit: /],
      ["?limit=", /limit: /],
      ["?prefix=a&prefix=b", /prefix: give it once/],
    ] as const) {
      await assert.rejects(names(hub, query), (error: unknown) => {
        assert.ok(error instanceof GatewayError);
        assert.equal(error.kind, "badRequest");
        assert.match(error.detail, expected);
        return true;
      });
    }
  });
});
