/** A client that reconnects gets exactly what it missed, or the state instead; large states arrive complete. */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client, type Message } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const pushes = (client: Client, topic: string): Message[] =>
  client.messages.filter((m) => m.topic === topic && m.reqtype === undefined && m.event === undefined);

describe("topics remember", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start(
      "--workers",
      "2",
      "--history-count",
      "50",
      "--topic-rules",
      "bare:history=0,keys=0;few:keys=2",
    );
  });
  after(() => gateway[Symbol.asyncDispose]());

  const publish = async (message: object): Promise<{ epoch: string; offset: number }> => {
    const response = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(message) });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as { epoch: string; offset: number };
  };

  it("Query: the last value of each key, deleted ones left out, and live from there on", async () => {
    for (const [key, data] of [
      ["8001", "idle"],
      ["8002", "talking"],
      ["8001", "talking"],
      ["8003", "idle"],
      ["8002", null],
    ]) {
      await publish({ topic: "exts", key, data });
    }
    const client = await Client.open(gateway.url);
    client.send({ reqtype: "Query", action: "allexts", id: 1 });
    const { epoch, ...answer } = await client.find("state", (m) => m.reqtype === "Query");
    assert.equal(typeof epoch, "string");
    assert.deepEqual(answer, {
      reqtype: "Query",
      action: "allexts",
      id: 1,
      code: 0,
      topic: "exts",
      offset: 5,
      data: [
        { key: "8001", data: "talking" },
        { key: "8003", data: "idle" },
      ],
    });
    await publish({ topic: "exts", key: "8003", data: { since: 1 } });
    assert.deepEqual(await client.find("push", (m) => m.offset === 6), {
      topic: "exts",
      offset: 6,
      key: "8003",
      data: { since: 1 },
    });
    await client.end();
  });

  it("Subscribe since: what was missed, in order, once; by message and in the URL", async () => {
    const start = await publish({ topic: "news", data: 0 });
    for (let n = 1; n <= 20; n++) await publish({ topic: "news", data: n });
    const byMessage = await Client.open(gateway.url);
    byMessage.send({ reqtype: "Subscribe", topic: "news", since: { epoch: start.epoch, offset: 5 }, id: "x" });
    const inUrl = await Client.open(`${gateway.url}?topics=news@${start.epoch}:5`);
    for (const client of [byMessage, inUrl]) {
      const answer = await client.find("answer", (m) => m.reqtype === "Subscribe");
      assert.deepEqual([answer.recovered, answer.offset, answer.epoch], [true, 21, start.epoch]);
      await until(
        "missed pushes",
        () => pushes(client, "news").length,
        (n) => n === 16,
      );
      assert.deepEqual(
        pushes(client, "news").map((m) => m.offset),
        Array.from({ length: 16 }, (_, i) => 6 + i),
      );
    }
    await publish({ topic: "news", data: "live" });
    for (const client of [byMessage, inUrl]) {
      await client.find("live", (m) => m.offset === 22 && m.data === "live");
      assert.equal(pushes(client, "news").length, 17);
      await client.end();
    }
  });

  it("what cannot be recovered is answered with the state: too old, another epoch, a topic without history", async () => {
    const { epoch } = await publish({ topic: "old", data: 0 });
    for (let n = 0; n < 60; n++) await publish({ topic: "old", data: n });
    const bare = await publish({ topic: "bare", data: 0 });
    await publish({ topic: "bare", data: 1 });
    const client = await Client.open(`${gateway.url}?topics=old@${epoch}:1,bare@${bare.epoch}:1,other@another-run.0:1`);
    for (const topic of ["old", "bare", "other"]) {
      assert.equal((await client.find(topic, (m) => m.topic === topic)).recovered, false, topic);
    }
    await until(
      "counted",
      () => gateway.metric("megagate_recoveries_failed_total"),
      (n) => n >= 3,
    );
    await client.end();
  });

  it("GET /topics/{name}: its position, its memory, its subscribers", async () => {
    const { epoch } = await publish({ topic: "seen:1", key: "k", data: { v: 1 } });
    const clients = await Promise.all(Array.from({ length: 12 }, () => Client.open(`${gateway.url}?topics=seen:1`)));
    for (const client of clients) await client.find("answer", (m) => m.topic === "seen:1");
    const { history, ...answer } = (await (await gateway.admin("/topics/seen:1")).json()) as Record<string, unknown>;
    assert.deepEqual(answer, {
      topic: "seen:1",
      epoch,
      offset: 1,
      state: [{ key: "k", data: { v: 1 } }],
      subscribers: 12,
    });
    assert.equal((history as { count: number }).count, 1);
    assert.equal(await gateway.status("/topics/never"), 404);
    assert.equal(await gateway.status("/topics/a%20b"), 400);
    await Promise.all(clients.map((client) => client.end()));
  });

  it("only a key beyond the rule is refused", async () => {
    for (const key of ["a", "b", "a"]) await publish({ topic: "few:1", key, data: 1 });
    const refused = await gateway.admin("/publish", { method: "POST", body: '{"topic":"few:1","key":"c","data":1}' });
    assert.equal(refused.status, 507);
    await publish({ topic: "few:1", key: "a", data: null });
    await publish({ topic: "few:1", key: "c", data: 1 });
  });

  it("a state of 2 MB reaches 60 clients at once, whole, while pushes go on: no gap, no duplicate", async () => {
    const value = "x".repeat(200);
    for (let n = 0; n < 8000; n += 50) {
      const batch = Array.from({ length: 50 }, (_, i) => publish({ topic: "big", key: `key-${n + i}`, data: value }));
      await Promise.all(batch);
    }
    const clients = await Promise.all(Array.from({ length: 60 }, () => Client.open(`${gateway.url}?topics=big`)));
    let last = 0;
    for (let n = 0; n < 40; n++) last = (await publish({ topic: "big", key: `key-${n}`, data: n })).offset;
    for (const client of clients) {
      const answer = await client.find("answer", (m) => m.reqtype === "Subscribe");
      assert.equal((answer.data as unknown[]).length, 8000);
      await until(
        "all pushes",
        () => Number(pushes(client, "big").at(-1)?.offset ?? answer.offset),
        (n) => n === last,
        20_000,
      );
      const offsets = pushes(client, "big").map((m) => Number(m.offset));
      assert.deepEqual(
        offsets,
        Array.from({ length: last - Number(answer.offset) }, (_, i) => Number(answer.offset) + 1 + i),
      );
      client.send("ping");
      await client.find("pong", (m) => m.text === "pong");
    }
    await until(
      "no socket is parked",
      () => gateway.metric("megagate_parked_connections"),
      (n) => n === 0,
    );
    await Promise.all(clients.map((client) => client.end()));
    await until(
      "subscriptions are counted right",
      () => gateway.metric("megagate_subscriptions"),
      (n) => n === 0,
    );
  });
});

it("--state-dir: after an orderly restart epochs and offsets continue, and clients recover what they missed", async () => {
  const dir = mkdtempSync(join(tmpdir(), "megagate-state-"));
  const first = await Gateway.start("--workers", "1", "--state-dir", dir);
  const before = await first.publish("t", 1);
  await first.admin("/publish", { method: "POST", body: '{"topic":"t","key":"k","data":"kept"}' });
  assert.equal((await first.stop()).code, 0);
  await using second = await Gateway.start("--workers", "1", "--state-dir", dir);
  const after = await second.publish("t", 3);
  assert.deepEqual(after, { ...before, offset: 3 });
  const client = await Client.open(`${second.url}?topics=t@${before.epoch}:1`);
  await until(
    "recovered",
    () => pushes(client, "t").map((m) => m.offset),
    (offsets) => offsets.length === 2,
  );
  assert.deepEqual(
    pushes(client, "t").map((m) => m.offset),
    [2, 3],
  );
  const { state } = (await (await second.admin("/topics/t")).json()) as { state: unknown };
  assert.deepEqual(state, [{ key: "k", data: "kept" }]);
  await client.end();
});
