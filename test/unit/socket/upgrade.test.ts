/** Handshakes by their headers and query: admitted with their topics, or refused with the reason. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { decideUpgrade, refusePlain } from "../../../src/socket/upgrade.js";

const handshake = { version: "13", protocols: "", query: "" };
const decide = ({ topics, ...change }: { topics?: string; [field: string]: unknown }): unknown => {
  const query = topics === undefined ? "" : `topics=${topics}`;
  const decision = decideUpgrade({ ...handshake, query, ...change }, 3);
  return "reason" in decision ? decision.reason : decision;
};

it("admits with the topics of the URL, each once, and our sub-protocol if it is offered", () => {
  assert.deepEqual(decide({}), { topics: [], protocol: "" });
  assert.deepEqual(decide({ topics: "" }), { topics: [], protocol: "" });
  assert.deepEqual(decide({ topics: "a,b,a", protocols: "x, megagate.v1" }), {
    topics: [{ topic: "a" }, { topic: "b" }],
    protocol: "megagate.v1",
  });
  assert.deepEqual(decide({ protocols: "other" }), { topics: [], protocol: "" });
});

it("refuses a wrong version before wrong topics", () => {
  assert.equal(decide({ version: "8" }), "bad_version");
  assert.equal(decide({ version: "" }), "bad_version");
  assert.equal(decide({ topics: "a,b,c,d" }), "bad_topic");
  assert.equal(decide({ topics: "a b" }), "bad_topic");
  assert.equal(decide({ version: "8", topics: "a b" }), "bad_version");
});

it("names the protocol with every 426", () => {
  for (const refusal of [
    decideUpgrade({ ...handshake, version: "8" }, 3),
    decideUpgrade({ ...handshake, version: "" }, 3),
    refusePlain({ upgrade: "", method: "get" }),
    refusePlain({ upgrade: "h2c", method: "head" }),
  ]) {
    assert.ok("reason" in refusal);
    assert.equal(refusal.error.row.http, 426);
    assert.equal(refusal.headers?.Upgrade, "websocket");
  }
});

it("distinguishes plain HTTP from a malformed handshake", () => {
  assert.equal(refusePlain({ upgrade: "", method: "get" }).reason, "not_upgrade");
  assert.equal(refusePlain({ upgrade: "h2c", method: "get" }).reason, "not_upgrade");
  assert.equal(refusePlain({ upgrade: "WebSocket", method: "get" }).reason, "bad_handshake");
});

it("several topics= fields add up, wherever they stand and however they are escaped", () => {
  const topics = [{ topic: "a" }, { topic: "b:c" }];
  for (const query of [
    "topics=a&topics=b:c",
    "x=%zz&topics=a&y&topics=&topics=b%3Ac",
    "%74opics=a%2Cb%3ac",
    "topics=a,b:c&topics",
  ]) {
    assert.deepEqual(decide({ query }), { topics, protocol: "" }, query);
  }
  assert.equal(decide({ query: "topics=a,b&topics=c,d" }), "bad_topic", "too many together");
  assert.deepEqual(decide({ query: "Topics=a&topic=b&ticket=%26topics%3Dc" }), { topics: [], protocol: "" });
});

it("malformed escapes in topics are refused, never read as another topic or as none", () => {
  for (const topics of [
    "%",
    "a%",
    "a,b,c%",
    "%zz",
    "100%",
    "%4",
    "a%2",
    "%%61",
    "%ff",
    "%c0%af",
    "%ed%a0%80",
    "a%00",
    "%2561",
    "a+b",
  ]) {
    assert.equal(decide({ topics }), "bad_topic", topics);
    assert.equal(decide({ query: `topics=a&topics=${topics}` }), "bad_topic", topics);
  }
});
