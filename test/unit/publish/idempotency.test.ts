/** A repeated id of a topic is published once, and answered with the first position. How long: test/unit/hub/recent-ids.test.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PublishApi } from "../../../src/publish/api.js";
import { answer, FakeHub, MAX_DATA_BYTES, NDJSON, post } from "./fake-hub.js";

describe("idempotency", () => {
  it("answers the first position again, by id or by header, and per topic", async () => {
    const hub = new FakeHub();
    const api = new PublishApi(hub, MAX_DATA_BYTES);
    const publish = (body: object, headers?: Record<string, string>): Promise<object> =>
      api.publish(post(JSON.stringify(body), headers));
    const first = { code: 0, topic: "a", epoch: "e", offset: 1 };
    assert.deepEqual(await publish({ topic: "a", data: 1, id: "x" }), first);
    await publish({ topic: "a", data: 2 });
    assert.deepEqual(await publish({ topic: "a", data: 1, id: "x" }), { ...first, duplicate: true });
    assert.deepEqual(await publish({ topic: "a", data: 1 }, { "idempotency-key": "x" }), { ...first, duplicate: true });
    assert.deepEqual(await publish({ topic: "b", data: 1, id: "x" }), { ...first, topic: "b" });
    assert.equal(hub.published.length, 3);
  });

  it("holds within one array and one stream too", async () => {
    const api = new PublishApi(new FakeHub(), MAX_DATA_BYTES);
    const twice = [
      { topic: "a", data: 1, id: "x" },
      { topic: "a", data: 1, id: "x" },
    ];
    assert.deepEqual(await api.publish(post(JSON.stringify(twice))), {
      code: 0,
      results: [
        { topic: "a", epoch: "e", offset: 1 },
        { topic: "a", epoch: "e", offset: 1, duplicate: true },
      ],
    });
    const lines = [...twice, { topic: "a", data: 1, id: "y" }].map((message) => JSON.stringify(message)).join("\n");
    assert.deepEqual(await api.publish(post(lines, NDJSON)), { code: 0, published: 1, duplicates: 2 });
  });

  it("refuses the header for many messages, a bad header, and a header that differs from the id", async () => {
    const api = new PublishApi(new FakeHub(), MAX_DATA_BYTES);
    const error = async (body: string, headers: Record<string, string>): Promise<unknown> =>
      (await answer(api.publish(post(body, headers)))).error;
    const one = '{"topic":"a","data":1,"id":"x"}';
    assert.match(String(await error(`[${one}]`, { "idempotency-key": "x" })), /^Idempotency-Key names one message/);
    assert.match(String(await error(one, { ...NDJSON, "idempotency-key": "x" })), /^Idempotency-Key names one message/);
    assert.match(String(await error(one, { "idempotency-key": "y" })), /^id and Idempotency-Key differ/);
    assert.match(
      String(await error(one, { "idempotency-key": "y".repeat(129) })),
      /^Idempotency-Key: a string of 1–128/,
    );
  });

  it("remembers nothing of a publication that the hub refused", async () => {
    const hub = new FakeHub();
    hub.awayAfter = 0;
    const api = new PublishApi(hub, MAX_DATA_BYTES);
    const body = '{"topic":"a","data":1,"id":"x"}';
    assert.equal((await answer(api.publish(post(body)))).kind, "hubUnavailable");
    hub.awayAfter = 1;
    assert.deepEqual(await api.publish(post(body)), { code: 0, topic: "a", epoch: "e", offset: 1 });
  });
});
