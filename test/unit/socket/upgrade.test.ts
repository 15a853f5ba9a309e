/** Handshakes by their headers and query: admitted with their topics, or refused with the reason. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { decideUpgrade, refusePlain } from "../../../src/socket/upgrade.js";

const handshake = { version: "13", protocols: "", query: "", authorization: undefined };
const decide = ({ topics, ...change }: { topics?: string; [field: string]: unknown }): unknown => {
  const query = topics === undefined ? "" : `topics=${topics}`;
  const decision = decideUpgrade({ ...handshake, query, ...change }, 3);
  return "reason" in decision ? decision.reason : decision;
};

it("admits with the topics of the URL, each once, and our sub-protocol if it is offered", () => {
  assert.deepEqual(decide({}), { topics: [], protocol: "", token: undefined });
  assert.deepEqual(decide({ topics: "" }), { topics: [], protocol: "", token: undefined });
  assert.deepEqual(decide({ topics: "a,b,a", protocols: "x, megagate.v1" }), {
    topics: [{ topic: "a" }, { topic: "b" }],
    protocol: "megagate.v1",
    token: undefined,
  });
  assert.deepEqual(decide({ protocols: "other" }), { topics: [], protocol: "", token: undefined });
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
    assert.deepEqual(decide({ query }), { topics, protocol: "", token: undefined }, query);
  }
  assert.equal(decide({ query: "topics=a,b&topics=c,d" }), "bad_topic", "too many together");
  assert.deepEqual(decide({ query: "Topics=a&topic=b&ticket=%26topics%3Dc" }), {
    topics: [],
    protocol: "",
    token: undefined,
  });
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

it("takes one token, from the header or the sub-protocols, and selects ours alone", () => {
  const token = (authorization: string | undefined, protocols = "", query = ""): unknown => {
    const decision = decideUpgrade({ ...handshake, authorization, protocols, query }, 3);
    return "reason" in decision ? decision.reason : [decision.token, decision.protocol];
  };
  const OURS = "megagate.v1";
  for (const [authorization, protocols, wanted] of [
    ["", "", [undefined, ""]],
    ["Bearer a.b.c", "", ["a.b.c", ""]],
    ["bearer a.b.c", OURS, ["a.b.c", OURS]],
    ["BEARER   a.b.c ", "", ["a.b.c", ""]],
    ["", `${OURS}, bearer.a.b.c`, ["a.b.c", OURS]],
    ["", `bearer.a.b.c,${OURS}`, ["a.b.c", OURS]],
    ["", `${OURS}, bearer.`, ["", OURS]],
    ["", `${OURS}, Bearer.a.b.c`, [undefined, OURS]],
    ["", "bearer.a.b.c", "bad_token"],
    ["", `${OURS}, bearer.a, bearer.a`, "bad_token"],
    ["Bearer a", `${OURS}, bearer.a`, "bad_token"],
    ["Bearer", "", "bad_token"],
    ["Bearer ", "", "bad_token"],
    ["Bearer a b", "", "bad_token"],
    ["Bearer a, Bearer b", "", "bad_token"],
    ["Basic eDp5, Bearer b", "", "bad_token"],
    ["Basic eDp5", "", [undefined, ""]],
    ["Basic eDp5", `${OURS}, bearer.a`, ["a", OURS]],
    ["Bearers", "", [undefined, ""]],
    ["", `${Array(15).fill("x").join()},${OURS},bearer.a`, [undefined, OURS]],
    [undefined, `${OURS}, bearer.a, bearer.b`, [undefined, OURS]],
  ] as const) {
    assert.deepEqual(token(authorization, protocols), wanted, `${authorization} | ${protocols}`);
  }
  for (const name of ["token", "access_token", "authorization", "bearer"]) {
    assert.deepEqual(token("", "", `${name}=a.b.c`), [undefined, ""], "never from the URL");
  }
});

it("refuses a wrong version before a wrong token, and that before wrong topics", () => {
  const all = { authorization: "Bearer", query: "topics=a b", protocols: "" };
  const reason = (version: string): unknown => {
    const decision = decideUpgrade({ ...all, version }, 3);
    return "reason" in decision && decision.reason;
  };
  assert.deepEqual([reason("8"), reason("13")], ["bad_version", "bad_token"]);
});
