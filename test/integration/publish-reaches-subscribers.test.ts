/** A publication reaches every subscriber of its topic on every worker exactly once, with its offset, and no other client. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, type Message } from "../support/client.js";
import { cli, Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

describe("publish reaches subscribers", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "3");
  });
  after(() => gateway[Symbol.asyncDispose]());

  it("delivers once to each of 60 sockets on three workers, with offsets that rise by one", async () => {
    const clients = await Promise.all(Array.from({ length: 60 }, () => Client.open(`${gateway.url}?topics=exts`)));
    for (const client of clients) await client.find("subscribed", (m) => m.reqtype === "Subscribe" && m.code === 0);
    const spread = await until(
      "counted",
      () => gateway.processes(),
      (rows) => total(rows) === 60,
    );
    assert.ok(spread.filter((row) => (row.connections ?? 0) > 0).length > 1, "sockets are on several workers");
    const stranger = await Client.open(`${gateway.url}?topics=news`);

    const first = await gateway.publish("exts", { n: 0 });
    for (let n = 1; n < 20; n++) await gateway.publish("exts", { n });

    for (const client of clients) {
      await client.find(
        "last push",
        (m) => m.offset === first.offset + 19 && m.data !== undefined && m.topic === "exts",
      );
      const pushes = client.messages.filter((m) => m.data !== undefined && m.reqtype === undefined);
      assert.deepEqual(
        pushes.map((m) => m.offset),
        Array.from({ length: 20 }, (_, i) => first.offset + i),
      );
      assert.deepEqual(
        pushes.map((m) => (m.data as { n: number }).n),
        Array.from({ length: 20 }, (_, i) => i),
      );
    }
    assert.equal(stranger.messages.filter((m) => m.topic === "exts").length, 0);
    await Promise.all([...clients, stranger].map((client) => client.end()));
  });

  it("answers topics in the URL with the handshake, and the same by message, with the id", async () => {
    const client = await Client.open(`${gateway.url}?topics=a,b:1`, ["megagate.v1"]);
    assert.equal(client.socket.protocol, "megagate.v1");
    for (const topic of ["a", "b:1"]) {
      const answer = await client.find(topic, (m) => m.topic === topic);
      assert.deepEqual(
        { ...answer, epoch: typeof answer.epoch },
        {
          reqtype: "Subscribe",
          code: 0,
          topic,
          epoch: "string",
          offset: 0,
          recovered: false,
          data: [],
        },
      );
    }
    client.send({ reqtype: "Subscribe", topic: "c", id: "x" });
    assert.equal((await client.find("c", (m) => m.topic === "c")).id, "x");
    client.send({ reqtype: "Unsubscribe", topic: "c", id: 9 });
    await client.find("unsubscribed", (m) => m.reqtype === "Unsubscribe" && m.code === 0 && m.id === 9);
    await gateway.publish("c", 1);
    await gateway.publish("a", 2);
    await client.find("a is still followed", (m) => m.topic === "a" && m.data === 2);
    assert.equal(client.messages.filter((m: Message) => m.topic === "c" && m.data === 1).length, 0);
    await client.end();
  });

  it("answers heartbeats as JSON and as text", async () => {
    const client = await Client.open(gateway.url);
    client.send("ping");
    await client.find("pong", (m) => m.text === "pong");
    client.send({ reqtype: "Heartbeat" });
    await client.find("heartbeat", (m) => m.reqtype === "Heartbeat" && m.code === 0);
    client.send('{ "reqtype": "Heartbeat", "time": 1 }');
    await until(
      "second",
      () => client.messages.length,
      (n) => n === 3,
    );
    await client.end();
  });

  it("publishes from the command line, JSON or plain text", async () => {
    const client = await Client.open(`${gateway.url}?topics=cli`);
    await client.find("subscribed", (m) => m.code === 0);
    const admin = ["--admin-url", `http://127.0.0.1:${gateway.adminPort}`];
    const json = await cli(["publish", "cli", '{"a":[1]}', ...admin]).ended;
    assert.equal(json.code, 0, json.stderr);
    assert.match(json.stdout, /"offset":1/);
    await cli(["publish", "cli", "hello you", ...admin]).ended;
    assert.deepEqual((await client.find("json", (m) => m.offset === 1 && m.reqtype === undefined)).data, { a: [1] });
    assert.equal((await client.find("text", (m) => m.offset === 2)).data, "hello you");
    await client.end();
  });

  it("refuses bad publishes with a reason and goes on", async () => {
    const post = async (body: string | Uint8Array): Promise<[number, string]> => {
      const response = await gateway.admin("/publish", { method: "POST", body });
      return [response.status, ((await response.json()) as { error: string }).error];
    };
    assert.match((await post("{")).join(), /^400,the body is not JSON/);
    assert.match((await post("[]")).join(), /^400,the body must be a JSON object/);
    assert.match((await post('{"topic":"a b","data":1}')).join(), /^400,topic: 1–128/);
    assert.match((await post('{"topic":"a"}')).join(), /^400,data is missing/);
    assert.match((await post('{"topic":"a","data":1,"x":1}')).join(), /^400,unknown field "x"/);
    assert.match((await post(new Uint8Array([0xff, 0xfe]))).join(), /^400,the body is not UTF-8/);
    const big = JSON.stringify({ topic: "a", data: "x".repeat(13_000) });
    assert.match((await post(big)).join(), /^413,data has 13002 bytes of JSON, at most 12288/);
    assert.match((await post("x".repeat(500_000))).join(), /^413,the body has more than/);
    assert.equal((await gateway.admin("/publish")).status, 405);
    assert.equal((await gateway.admin("/nothing")).status, 404);
    assert.equal((await gateway.publish("a", null)).offset >= 1, true);
  });
});

const total = (rows: readonly { connections?: number }[]): number =>
  rows.reduce((sum, row) => sum + (row.connections ?? 0), 0);
