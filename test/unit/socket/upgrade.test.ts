import assert from "node:assert/strict";
import { it } from "node:test";
import { decideUpgrade, refusePlain } from "../../../src/socket/upgrade.js";

const open = { draining: false, full: false };
const handshake = { version: "13", protocols: "", topics: undefined };
const decide = (change: object, state = open): unknown => {
  const decision = decideUpgrade({ ...handshake, ...change }, state, 3);
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

it("refuses by what is wrong first: state, version, topics", () => {
  assert.equal(decide({ version: "8" }), "bad_version");
  assert.equal(decide({ version: "" }), "bad_version");
  assert.equal(decide({ topics: "a,b,c,d" }), "bad_topic");
  assert.equal(decide({ topics: "a b" }), "bad_topic");
  assert.equal(decide({ version: "8" }, { draining: false, full: true }), "full");
  assert.equal(decide({}, { draining: true, full: true }), "draining");
});

it("tells plain HTTP from a broken handshake", () => {
  assert.equal(refusePlain({ upgrade: "", method: "get" }, open).reason, "not_upgrade");
  assert.equal(refusePlain({ upgrade: "h2c", method: "get" }, open).reason, "not_upgrade");
  assert.equal(refusePlain({ upgrade: "WebSocket", method: "get" }, open).reason, "bad_handshake");
  assert.equal(refusePlain({ upgrade: "", method: "get" }, { draining: true, full: false }).reason, "draining");
});
