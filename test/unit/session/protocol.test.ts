import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { BadRequest, parseCommand, subscribeReply } from "../../../src/session/protocol.js";

it("understands what the protocol names", () => {
  assert.deepEqual(parseCommand('{"reqtype":"Heartbeat","x":1}'), { type: "heartbeat" });
  assert.deepEqual(parseCommand('{"reqtype":"Subscribe","topic":"a:b","id":1}'), {
    type: "subscribe",
    topic: "a:b",
    id: 1,
  });
  assert.deepEqual(parseCommand('{"topic":"a","reqtype":"Unsubscribe","id":{}}'), {
    type: "unsubscribe",
    topic: "a",
    id: undefined,
  });
});

it("any other text is a BadRequest, never another error", () => {
  const anything = fc.oneof(
    fc.string(),
    fc.json(),
    fc.record({ reqtype: fc.anything(), topic: fc.anything() }).map((o) => safe(o)),
  );
  fc.assert(
    fc.property(anything, (text) => {
      try {
        parseCommand(text);
      } catch (error) {
        assert.ok(error instanceof BadRequest, String(error));
      }
    }),
  );
});

it("names like those of Object's own properties are no requests", () => {
  for (const reqtype of ["__proto__", "constructor", "toString"]) {
    assert.throws(() => parseCommand(JSON.stringify({ reqtype })), BadRequest);
  }
});

it("the reply carries the id when there is one", () => {
  assert.equal(
    subscribeReply("t", { epoch: "e", offset: 3 }, undefined).toString(),
    '{"reqtype":"Subscribe","code":0,"topic":"t","epoch":"e","offset":3,"recovered":false,"data":[]}',
  );
  assert.match(subscribeReply("t", { epoch: "e", offset: 3 }, "q").toString(), /"id":"q"/);
});

function safe(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return "";
  }
}
