/** The same id for the same topic publishes once and answers the same, within a bounded memory. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PublishApi } from "../../../src/publish/api.js";
import { RecentIds } from "../../../src/publish/recent.js";
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

  it("refuses a header for many, a bad header, and two different ids", async () => {
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

  it("never holds more than its number, forgets the oldest first and everything in time", () => {
    const step = fc.record({ id: fc.nat(20), passMs: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 10 }), (steps, keys) => {
        let now = 0;
        const recent = new RecentIds({ keys, ageMs: 100 }, () => now);
        /** The plain rule: what came in, newest last. */
        let model: { id: string; at: number }[] = [];
        for (const { id, passMs } of steps) {
          now += passMs;
          const name = String(id);
          model = model.filter(({ at }) => now - at < 100);
          const known = model.find((entry) => entry.id === name);
          assert.deepEqual(recent.find("t", name), known && { epoch: "e", offset: known.at, untilMs: known.at + 100 });
          if (known === undefined) {
            recent.remember("t", name, { epoch: "e", offset: now });
            model = [...model, { id: name, at: now }].slice(-keys);
          }
          assert.equal(recent.size, model.length);
        }
      }),
    );
  });

  it("keeps a hundred thousand by default", () => {
    const recent = new RecentIds();
    for (let n = 0; n < 100_001; n += 1) recent.remember("t", String(n), { epoch: "e", offset: n });
    assert.equal(recent.size, 100_000);
    assert.equal(recent.find("t", "0"), undefined);
    assert.equal(recent.find("t", "1")?.offset, 1);
  });
});
