/** Patterns of topics, and the grants that claims make of them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Grants, isPattern, isPatternList, MAX_PATTERNS } from "../../../src/admission/grants.js";
import { runs } from "../../support/runs.js";

const grants = new Grants([]);

/** Whether a token with these patterns and this sub may follow the topic. */
const fits = (patterns: readonly string[], topic: string, sub?: string): boolean => {
  const grant = grants.of({ subscribe: patterns });
  assert.ok(grant, "the claim is well formed");
  return grant.allows("subscribe", topic, sub);
};

describe("a pattern", () => {
  for (const [pattern, topic, sub, wanted, why] of [
    ["news", "news", undefined, true, "the topic alone"],
    ["news", "newsroom", undefined, false, "no prefix without *"],
    ["news", "news:1", undefined, false, "not its parts"],
    ["user:1", "user:10", undefined, false, "not a longer part"],
    ["user:*", "user:10", undefined, true, "one part"],
    ["user:*", "user:10:inbox", undefined, true, "several parts"],
    ["user:*", "user", undefined, false, "not the prefix itself"],
    ["user:*", "users:1", undefined, false, "the prefix ends at the colon"],
    ["call:7:*", "call:7:agents", undefined, true, "a longer prefix"],
    ["call:7:*", "call:70:agents", undefined, false, "a longer part of the prefix"],
    ["*", "anything:at:all", undefined, true, "every topic"],
    ["*", "not a topic", undefined, false, "only topics"],
    ["user:{sub}", "user:7", "7", true, "the topic of the user"],
    ["user:{sub}", "user:7:x", "7", false, "not below it"],
    ["user:{sub}", "user:70", "7", false, "not a longer part"],
    ["user:{sub}", "user:8", "7", false, "not another user"],
    ["user:{sub}", "user:{sub}", "7", false, "never the text itself"],
    ["user:{sub}", "user:7", undefined, false, "no sub"],
    ["user:{sub}", "user:1:admin", "1:admin", false, "a sub of two parts"],
    ["user:{sub}", "user:*", "*", false, "a sub that is a wildcard"],
    ["user:{sub}:*", "user:*:x", "*", false, "a sub that is a wildcard, before one"],
    ["{sub}:*", "admin:x", "*", false, "a sub that would fit everything"],
    ["user:{sub}", "user:", "", false, "an empty sub"],
    ["user:{sub}", "user:张伟", "张伟", false, "a sub that no topic may hold"],
    ["user:{sub}", "user:$&", "$&", false, "a sub that a replacement would read"],
    ["user:{sub}:*", "user:7:inbox", "7", true, "below the user's prefix"],
    ["user:{sub}:*", "user:70:inbox", "7", false, "not below another's"],
    ["pair:{sub}:{sub}", "pair:7:7", "7", true, "twice"],
    ["{sub}", "7", "7", true, "alone"],
  ] as const) {
    it(`${pattern} ${wanted ? "fits" : "does not fit"} ${topic}${sub === undefined ? "" : ` of ${JSON.stringify(sub)}`}: ${why}`, () => {
      assert.equal(fits([pattern], topic, sub), wanted);
    });
  }

  for (const text of [
    "",
    "*:x",
    "user:*:x",
    "us*",
    "user:",
    ":user",
    "user::x",
    "user-{sub}",
    "{sub",
    "{SUB}",
    "user.*",
    "a b",
    ">",
    "**",
    "a,b",
    "t".repeat(129),
  ]) {
    it(`${JSON.stringify(text.slice(0, 20))} is none`, () => {
      assert.equal(isPattern(text), false);
      assert.equal(grants.of({ subscribe: [text] }), undefined);
    });
  }

  it("with {sub} opens nothing but the topics of that sub", () => {
    const sub = fc.oneof(fc.string(), fc.constantFrom("*", "1:admin", "{sub}", "$`", "7"));
    const topic = fc.oneof(
      fc.constantFrom("user:7", "user:1:admin", "user:x", "user:7:x"),
      sub.map((text) => `user:${text}`),
    );
    fc.assert(
      fc.property(sub, topic, (user, name) => {
        assert.ok(!fits(["user:{sub}"], name, user) || (name === `user:${user}` && name.split(":").length === 2));
      }),
      runs(10_000),
    );
  });
});

it("a list of patterns is joined by commas, and bounded", () => {
  const list = (count: number): string => Array.from({ length: count }, (_, i) => `t${i}`).join();
  assert.deepEqual(["news, user:{sub}", list(MAX_PATTERNS)].map(isPatternList), [true, true]);
  assert.deepEqual(["", "news,", "us*", list(MAX_PATTERNS + 1)].map(isPatternList), [false, false, false, false]);
});

describe("the grant of a claim", () => {
  it("grants nothing by an empty list, and nothing by none", () => {
    for (const claim of [{}, { subscribe: [] }, { query: [], publish: ["*"] }]) {
      assert.equal(grants.of(claim)?.allows("subscribe", "news", "7"), false);
    }
  });

  it("lets Query what Subscribe may, unless the claim says otherwise", () => {
    assert.equal(grants.of({ subscribe: ["news"] })?.allows("query", "news", undefined), true);
    assert.equal(grants.of({ subscribe: ["news"], query: [] })?.allows("query", "news", undefined), false);
    assert.equal(grants.of({ query: ["news"] })?.allows("subscribe", "news", undefined), false);
    assert.equal(grants.of({ subscribe: ["*"] })?.allows("publish", "news", undefined), false);
    assert.equal(grants.of({ publish: ["news"] })?.allows("publish", "news", undefined), true);
  });

  it("takes the defaults where the token has no claim, and only there", () => {
    const some = new Grants(["news", "user:{sub}"]);
    assert.equal(some.of(undefined)?.allows("query", "user:7", "7"), true);
    assert.equal(some.of(undefined)?.allows("publish", "news", "7"), false);
    assert.equal(some.of({})?.allows("subscribe", "news", "7"), false);
  });

  for (const claim of [
    null,
    "*",
    ["*"],
    7,
    { subscribe: "*" },
    { subscribe: null },
    { subscribe: [7] },
    { subscribe: [["news"]] },
    { subscribed: ["news"] },
    JSON.parse('{"__proto__":{"subscribe":["*"]}}') as unknown,
    { subscribe: Array.from({ length: MAX_PATTERNS + 1 }, () => "news") },
    {
      subscribe: Array.from({ length: 60 }, (_, i) => `a:${i}`),
      query: Array.from({ length: 60 }, (_, i) => `b:${i}`),
    },
    { subscribe: Array.from({ length: 10_000 }, (_, i) => `t${i}`) },
  ]) {
    it(`is refused: ${JSON.stringify(claim).slice(0, 50)}`, () => assert.equal(grants.of(claim), undefined));
  }

  it("is one object for claims that allow the same, in whatever order", () => {
    const one = grants.of({ subscribe: ["b", "a", "a"], publish: [] });
    assert.equal(grants.of({ publish: [], query: ["a", "b"], subscribe: ["a", "b"] }), one);
    assert.notEqual(grants.of({ subscribe: ["a"], query: ["b"] }), grants.of({ subscribe: ["a"], publish: ["b"] }));
  });

  it("keeps a bounded number of them", () => {
    const many = new Grants([]);
    const first = many.of({ subscribe: ["user:0"] });
    for (let i = 1; i < 3000; i++) many.of({ subscribe: [`user:${i}`] });
    assert.equal(many.size, 1024);
    assert.equal(first?.allows("subscribe", "user:0", undefined), true, "who holds it keeps it");
  });
});
