/** One message or an array: all of it is published, or nothing and the fault is named. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PublishApi } from "../../../src/publish/api.js";
import { runs } from "../../support/runs.js";
import { answer, FakeHub, MAX_DATA_BYTES, post } from "./fake-hub.js";

function setUp(): {
  hub: FakeHub;
  api: PublishApi;
  publish: (body: unknown, headers?: Record<string, string>) => ReturnType<typeof answer>;
} {
  const hub = new FakeHub();
  const api = new PublishApi(hub, MAX_DATA_BYTES);
  const publish = (body: unknown, headers?: Record<string, string>): ReturnType<typeof answer> =>
    answer(api.publish(post(typeof body === "string" ? body : JSON.stringify(body), headers)));
  return { hub, api, publish };
}

describe("one message", () => {
  it("is published with its key, and null with a key is passed on as a deletion", async () => {
    const { hub, publish } = setUp();
    const first = await publish({ topic: "exts", key: "8001", data: { a: 1 } });
    assert.deepEqual(first, { kind: "ok", code: 0, topic: "exts", epoch: "e", offset: 1 });
    assert.equal((await publish({ topic: "exts", key: "8001", data: null })).offset, 2);
    assert.equal((await publish({ topic: "exts", data: null })).offset, 3);
    assert.deepEqual(hub.published, [
      { topic: "exts", data: '{"a":1}', key: "8001" },
      { topic: "exts", data: "null", key: "8001" },
      { topic: "exts", data: "null", key: undefined },
    ]);
  });

  const REFUSED: [body: string, kind: string, error: RegExp][] = [
    ["", "badJson", /^the body is not JSON/],
    ["{", "badJson", /^the body is not JSON/],
    ['"text"', "badJson", /^the body must be a JSON object such as/],
    ["null", "badJson", /^the body must be a JSON object/],
    ["[]", "badRequest", /^the body must be a JSON object or an array with at least one/],
    ['{"topic":"a b","data":1}', "badTopic", /^topic: 1–128 characters/],
    ['{"data":1}', "badTopic", /^topic:/],
    ['{"topic":"a"}', "badRequest", /^data is missing/],
    ['{"topic":"a","data":1,"more":1}', "badRequest", /^unknown field "more"/],
    ['{"topic":"a","data":1,"__proto__":1}', "badRequest", /^unknown field "__proto__"/],
    ['{"topic":"a","data":1,"key":""}', "badRequest", /^key: a string of 1–256/],
    ['{"topic":"a","data":1,"key":null}', "badRequest", /^key:/],
    ['{"topic":"a","data":1,"key":"a\\nb"}', "badRequest", /^key:/],
    ['{"topic":"a","data":1,"key":"\\ud800"}', "badRequest", /^key:/],
    [`{"topic":"a","data":1,"key":"${"k".repeat(257)}"}`, "badRequest", /^key:/],
    [`{"topic":"a","data":1,"id":"${"k".repeat(129)}"}`, "badRequest", /^id: a string of 1–128/],
    ['{"topic":"a","data":1,"id":7}', "badRequest", /^id:/],
    [
      `{"topic":"a","data":"${"x".repeat(MAX_DATA_BYTES - 1)}"}`,
      "publicationTooBig",
      /^data has 201 bytes of JSON, at most 200/,
    ],
    [`{"topic":"a","data":"${"x".repeat(6000)}"}`, "publicationTooBig", /^the body has more than 5296 bytes/],
    ['{"topic":"a","key":"k","data":1e999}', "badRequest", /^data has a number that no double can hold/],
    ['{"topic":"a","key":"k","data":[{"n":-1e999}]}', "badRequest", /^data has a number/],
    [`{"topic":"a","data":${"[".repeat(100)}1e999${"]".repeat(100)}}`, "publicationTooBig", /^data has/],
  ];
  for (const [body, kind, error] of REFUSED) {
    it(`refuses ${body.length > 60 ? `${body.slice(0, 50)}…` : body || "nothing"}: ${kind}`, async () => {
      const { hub, api, publish } = setUp();
      const refused = await publish(body);
      assert.equal(refused.kind, kind);
      assert.match(String(refused.error), error);
      assert.equal(hub.published.length, 0);
      assert.equal(api.refused, 1);
    });
  }

  it("accepts 256 code points of key and 128 of id, and a byte order mark", async () => {
    const { publish } = setUp();
    assert.equal((await publish({ topic: "a", data: 1, key: "😀".repeat(256), id: "é".repeat(128) })).kind, "ok");
    assert.equal((await publish('\ufeff{"topic":"a","data":1}')).kind, "ok");
  });

  it("refuses bytes that are not UTF-8, and data nested deeper than JSON.stringify can go", async () => {
    const api = new PublishApi(new FakeHub(), 100_000);
    const bytes = Buffer.from('{"topic":"a","data":"\xff"}', "latin1");
    assert.match(String((await answer(api.publish(post([bytes])))).error), /^the body is not UTF-8/);
    const deep = `{"topic":"a","data":${"[".repeat(49_000)}${"]".repeat(49_000)}}`;
    assert.match(String((await answer(api.publish(post(deep)))).error), /^data is nested too deeply/);
  });

  it("publishes exactly the JSON that it got, whatever it is and however the chunks are cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.json({ maxDepth: 4 }),
        fc.string({ minLength: 1, maxLength: 20 }),
        fc.nat(),
        async (json, key, cut) => {
          const data = JSON.parse(json) as unknown;
          const text = JSON.stringify({ topic: "t", data, key: `k${key}`.replace(/[\p{Cc}\p{Cs}]/gu, "") });
          const bytes = Buffer.from(text);
          const at = cut % bytes.length;
          const hub = new FakeHub();
          await new PublishApi(hub, 100_000).publish(post([bytes.subarray(0, at), bytes.subarray(at)]));
          assert.deepEqual(JSON.parse(hub.published[0]!.data), data);
        },
      ),
      runs(200),
    );
  });
});

describe("an array", () => {
  it("answers a position for each, in order", async () => {
    const { publish } = setUp();
    const body = ["a", "b", "a"].map((topic, n) => ({ topic, data: n }));
    assert.deepEqual(await publish(body), {
      kind: "ok",
      code: 0,
      results: [
        { topic: "a", epoch: "e", offset: 1 },
        { topic: "b", epoch: "e", offset: 1 },
        { topic: "a", epoch: "e", offset: 2 },
      ],
    });
  });

  it("with one bad element anywhere is refused whole, and the element is named", async () => {
    const bad = fc.constantFrom<[unknown, string]>(
      [{ topic: "a b", data: 1 }, "topic: "],
      [{ topic: "a" }, "data is missing"],
      [{ topic: "a", data: "x".repeat(MAX_DATA_BYTES) }, "data has "],
      [{ topic: "a", data: 1, key: "" }, "key: "],
      [7, "it must be a JSON object"],
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(50), fc.nat(50), bad, async (before, after, [element, error]) => {
        const { hub, publish } = setUp();
        const good = { topic: "a", data: 1 };
        const refused = await publish([
          ...Array<unknown>(before).fill(good),
          element,
          ...Array<unknown>(after).fill(good),
        ]);
        assert.ok(String(refused.error).startsWith(`message ${before + 1}: ${error}`), String(refused.error));
        assert.equal("published" in refused, false);
        assert.equal(hub.published.length, 0);
      }),
    );
  });

  it("may have 10,000 messages and 8 MiB, and no more of either", async () => {
    const { hub, publish } = setUp();
    const message = { topic: "a", data: 1 };
    assert.equal(((await publish(Array(10_000).fill(message))).results as unknown[]).length, 10_000);
    const refused = await publish(Array(10_001).fill(message));
    assert.deepEqual([refused.kind, refused.error], ["publicationTooBig", "the array has more than 10000 messages"]);
    const one = JSON.stringify([message]);
    assert.equal(
      (await publish(` ${" ".repeat(1000)}${one.slice(0, -1)}${" ".repeat(8 * 1024 * 1024 - 1001 - one.length)}]`))
        .kind,
      "ok",
    );
    const over = await publish(`${one.slice(0, -1)}${" ".repeat(8 * 1024 * 1024 - one.length + 1)}]`);
    assert.deepEqual([over.kind, over.error], ["publicationTooBig", "the body has more than 8388608 bytes"]);
    assert.equal(hub.published.length, 10_001);
  });

  it("is refused for a million brackets", async () => {
    const { hub, publish } = setUp();
    const tooBig = "message 1 has more than 5296 bytes";
    assert.equal((await publish("[".repeat(1_000_000))).error, tooBig);
    assert.equal((await publish(`${"[".repeat(500_000)}${"]".repeat(500_000)}`)).error, tooBig);
    assert.match(String((await publish("[".repeat(100_000))).error), /^message 1 has|not JSON/);
    assert.match(String((await publish(`${"[".repeat(50_000)}${"]".repeat(50_000)}`)).error), /^message 1: it must be/);
    assert.equal(hub.published.length, 0);
  });

  it("says how many were published when the hub fails in the middle", async () => {
    const { hub, publish } = setUp();
    hub.awayAfter = 2;
    const body = Array(5).fill({ topic: "a", data: 1 });
    const { kind, error, published } = await publish(body);
    assert.deepEqual([kind, published], ["hubUnavailable", 2]);
    assert.match(String(error), /^message 3: the hub is away/);
  });
});

describe("content types", () => {
  const message = '{"topic":"a","data":1}';
  const ACCEPTED = [
    "application/json",
    "Application/JSON; charset=utf-8",
    "text/plain;charset=UTF-8",
    "application/x-www-form-urlencoded",
  ];
  for (const type of ACCEPTED) {
    it(`takes ${type} for JSON`, async () => {
      assert.equal((await setUp().publish(message, { "content-type": type })).kind, "ok");
    });
  }
  for (const encoding of ["identity", "Identity", "IDENTITY, identity", " ", ""]) {
    it(`takes content encoding ${JSON.stringify(encoding)} for none`, async () => {
      assert.equal((await setUp().publish(message, { "content-encoding": encoding })).kind, "ok");
    });
  }
  for (const headers of [
    { "content-encoding": "identity, gzip" },
    { "content-type": "application/xml" },
    { "content-type": "multipart/form-data; boundary=x" },
    { "content-encoding": "gzip" },
  ]) {
    it(`refuses ${JSON.stringify(headers)}`, async () => {
      assert.match(String((await setUp().publish(message, headers)).error), /^content (type|encoding) "/);
    });
  }
});
