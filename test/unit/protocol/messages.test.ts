/** megagate.v1 as text: what is parsed, what is refused, and what replies look like. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { BadRequest, followReply, parseRequest, parseUrlTopic, resetEvent } from "../../../src/protocol/messages.js";
import type { SharedMessage } from "../../../src/protocol/shared-message.js";

it("parses every request of the protocol", () => {
  assert.deepEqual(parseRequest('{"reqtype":"Heartbeat","x":1}'), { type: "heartbeat", id: undefined });
  const since = { epoch: "a.0", offset: 5 };
  assert.deepEqual(parseRequest(JSON.stringify({ reqtype: "Subscribe", topic: "a:b", id: 1, since })), {
    type: "subscribe",
    request: { topic: "a:b", id: 1, since },
  });
  assert.deepEqual(parseRequest('{"reqtype":"Query","action":"allexts"}'), {
    type: "subscribe",
    request: { topic: "exts", id: undefined, action: "allexts" },
  });
  const bye = { type: "unsubscribe", topic: "a", id: undefined };
  assert.deepEqual(parseRequest('{"topic":"a","reqtype":"Unsubscribe","id":null}'), bye);
});

it("an id comes back unchanged or is refused, in every request", () => {
  const requests = {
    Subscribe: '"topic":"t"',
    Query: '"action":"allt"',
    Unsubscribe: '"topic":"t"',
    Heartbeat: '"more":{"id":1}',
    Dance: '"topic":"t"',
  };
  const kept = [
    "7",
    "-7",
    "0",
    "0.1",
    "0.8444218515250481",
    "1e+21",
    "9007199254740991",
    '"seven"',
    '"\\u0000\\ud800"',
    '""',
  ];
  const refused = ["9007199254740993", "3338220398172203928", "1e999", "-1e999", "-0", "7.0", "1e2", "0.10"];
  for (const [reqtype, fields] of Object.entries(requests)) {
    const idOf = (id: string): unknown => {
      try {
        const request = parseRequest(`{"reqtype":"${reqtype}",${fields}, "id" : ${id} }`);
        return request.type === "subscribe" ? request.request.id : request.id;
      } catch (error) {
        assert.ok(error instanceof BadRequest);
        const { request } = error;
        assert.equal(request.reqtype, reqtype);
        if (request.id === undefined)
          assert.match(error.detail, reqtype === "Dance" ? /^(?:id|reqtype) must be/ : /^id must be/);
        return request.id;
      }
    };
    for (const id of kept) assert.equal(JSON.stringify(idOf(id)), id);
    for (const id of [...refused, "true", "false", "{}", "[]", "[7]", '{"id":7}'])
      assert.equal(idOf(id), undefined, id);
    assert.equal(idOf("null"), undefined);
  }
});

it("null stands for a field that is absent", () => {
  const request = { topic: "t", id: undefined, since: undefined };
  assert.deepEqual(parseRequest('{"reqtype":"Subscribe","topic":"t","since":null,"id":null}'), {
    type: "subscribe",
    request,
  });
});

it("a malformed position is refused, in a message and in the URL", () => {
  const bad = [
    1,
    "x",
    [],
    {},
    { epoch: "a" },
    { epoch: "a", offset: -1 },
    { epoch: "a", offset: 1.5 },
    { epoch: 'a"', offset: 1 },
  ];
  for (const since of bad)
    assert.throws(() => parseRequest(JSON.stringify({ reqtype: "Subscribe", topic: "t", since })), BadRequest);
  for (const action of ["all", "alla b", "exts", 7, undefined]) {
    assert.throws(() => parseRequest(JSON.stringify({ reqtype: "Query", action })), BadRequest);
  }
  assert.deepEqual(parseUrlTopic("t@a.0:57"), { topic: "t", since: { epoch: "a.0", offset: 57 } });
  assert.deepEqual(parseUrlTopic("a:1"), { topic: "a:1" });
  for (const text of ["", "t@", "t@a", "t@a:", "t@:1", "t@a:1@b:2", "t@a:-1", "t@a:1e9", "a b"])
    assert.equal(parseUrlTopic(text), undefined, text);
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
        parseRequest(text);
      } catch (error) {
        assert.ok(error instanceof BadRequest, String(error));
      }
    }),
  );
});

it("names of Object's own properties are not requests", () => {
  for (const reqtype of ["__proto__", "constructor", "toString"]) {
    assert.throws(() => parseRequest(JSON.stringify({ reqtype })), BadRequest);
  }
});

it("the reply carries the id and the action when there is one, and the state unless the pushes follow", () => {
  const snapshot = { name: "t", epoch: "e", offset: 3, state: Buffer.from('[{"key":"k","data":1}]') };
  const position = { topic: "t", epoch: "e", offset: 3 };
  const data = [{ key: "k", data: 1 }];
  const parse = ({ whole }: SharedMessage): unknown => JSON.parse(whole.toString());
  assert.deepEqual(parse(followReply(snapshot, {}, false)), {
    reqtype: "Subscribe",
    code: 0,
    ...position,
    recovered: false,
    data,
  });
  assert.deepEqual(parse(followReply({ ...snapshot, state: Buffer.from("[]") }, { id: 'q"' }, true)), {
    reqtype: "Subscribe",
    id: 'q"',
    code: 0,
    ...position,
    recovered: true,
    data: [],
  });
  assert.deepEqual(parse(followReply(snapshot, { action: "allt" }, false)), {
    reqtype: "Query",
    action: "allt",
    code: 0,
    ...position,
    data,
  });
  assert.deepEqual(parse(resetEvent(snapshot)), { event: "reset", ...position, data });
});

function safe(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return "";
  }
}
