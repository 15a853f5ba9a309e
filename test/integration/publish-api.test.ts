/** The publish API over real HTTP: arrays, streams of lines, idempotency, faults, topics, the document, the command line. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { ERRORS } from "../../src/errors.js";
import { UNSUPPORTED_TYPE } from "../../src/publish/body.js";
import * as schemas from "../../src/publish/schema.js";
import { Client } from "../support/client.js";
import { CLI, Gateway, Run } from "../support/gateway.js";
import { until } from "../support/wait.js";

const NDJSON = { "Content-Type": "application/x-ndjson" };
type Answer = Record<string, unknown>;

describe("the publish API", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "1");
  });
  after(() => gateway[Symbol.asyncDispose]());

  async function post(body: string, headers: Record<string, string> = {}): Promise<[number, Answer]> {
    const response = await gateway.admin("/publish", { method: "POST", body, headers });
    return [response.status, (await response.json()) as Answer];
  }
  async function follow(topic: string): Promise<{ client: Client; pushes: () => unknown[] }> {
    const client = await Client.open(`${gateway.url}?topics=${topic}`);
    await client.find("subscribed", (m) => m.reqtype === "Subscribe" && m.code === 0);
    const pushes = (): unknown[] =>
      client.messages.filter((m) => m.topic === topic && m.reqtype === undefined).map((m) => m.data);
    return { client, pushes };
  }
  /** `megagate publish` with its stdin open. */
  function command(...args: string[]): Run {
    const all = [CLI, "publish", ...args, "--admin-url", `http://127.0.0.1:${gateway.adminPort}`];
    return new Run(spawn(process.execPath, all, { stdio: ["pipe", "pipe", "pipe"] }));
  }

  it("publishes an array in order, or nothing of it", async () => {
    const { client, pushes } = await follow("array");
    const body = Array.from({ length: 1000 }, (_, n) => ({ topic: "array", data: n }));
    const [status, answer] = await post(JSON.stringify(body));
    assert.equal(status, 200);
    assert.equal(schemas.PublishedAll.parse(answer).results.length, 1000);
    await until("all arrive", pushes, (all) => all.length === 1000);
    assert.deepEqual(
      pushes(),
      body.map(({ data }) => data),
    );

    const [refused, fault] = await post(JSON.stringify([{ topic: "array", data: "no" }, { topic: "array" }]));
    assert.deepEqual([refused, fault], [400, { code: 4001, error: "message 2: data is missing (null is allowed)" }]);
    await gateway.publish("array", "last");
    await until("the last arrives", pushes, (all) => all.at(-1) === "last");
    assert.equal(pushes().length, 1001);
    await client.end();
  });

  it("answers the same position for the same id", async () => {
    const body = JSON.stringify({ topic: "once", data: 1 });
    const [, first] = await post(body, { "Idempotency-Key": "order 7" });
    const [, second] = await post(body, { "Idempotency-Key": "order 7" });
    assert.deepEqual(second, { ...schemas.Published.parse(first), duplicate: true });
    assert.equal((await gateway.publish("once", 2)).offset, 2);
  });

  it("publishes lines as they arrive, over a request that has no end yet", async () => {
    const { client, pushes } = await follow("lines");
    const sending = request({ port: gateway.adminPort, method: "POST", path: "/publish", headers: NDJSON });
    const answered = once(sending, "response");
    sending.write('{"topic":"lines","data":1}\n{"topic":"lines",');
    await until("the first line arrives", pushes, (all) => all.length === 1);
    sending.end('"data":2}');
    const [response] = (await answered) as [AsyncIterable<Buffer>];
    let text = "";
    for await (const chunk of response) text += chunk.toString();
    assert.deepEqual(JSON.parse(text), { code: 0, published: 2, duplicates: 0 });
    await until("the second line arrives", pushes, (all) => all.length === 2);
    await client.end();
  });

  it("stops at a bad line, at once, and says how many were published before it", async () => {
    const good = '{"topic":"stop","data":1}\n'.repeat(16);
    const [status, answer] = await post(`${good}nonsense\n${good}`, NDJSON);
    assert.equal(status, 400);
    assert.equal(answer.published, 16);
    assert.match(String(answer.error), /^line 17: it is not JSON/);
    assert.equal((await gateway.publish("stop", 2)).offset, 17);
  });

  it("answers the refusal although megabytes are still coming", async () => {
    const bytes = `POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\nbad\n`;
    const socket = connect(gateway.adminPort, "127.0.0.1");
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString();
    });
    socket.on("error", () => undefined);
    socket.write(bytes);
    for (let n = 0; n < 100; n += 1) socket.write(Buffer.alloc(64 * 1024, "\n"));
    await until(
      "refused",
      () => received,
      (text) => text.includes("line 1: it is not JSON"),
    );
    assert.match(received, /^HTTP\/1\.1 400 /);
    socket.destroy();
  });

  it("refuses other methods and other content types", async () => {
    const put = await gateway.admin("/publish", { method: "PUT", body: "{}" });
    assert.equal(put.status, 405);
    const [status, answer] = await post("<a/>", { "Content-Type": "application/xml" });
    assert.equal(status, ERRORS[UNSUPPORTED_TYPE].http);
    assert.match(String(answer.error), /^content type "application\/xml": use application\/json/);
  });

  it("shows a topic, and answers 404 or 400 for what is none", async () => {
    await gateway.publish("shown:1", { a: 1 });
    const response = await gateway.admin("/topics/shown%3A1");
    assert.equal(response.headers.get("content-type"), "application/json");
    const topic = schemas.TopicState.parse(await response.json());
    assert.deepEqual([topic.topic, topic.offset], ["shown:1", 1]);
    assert.equal(await gateway.status("/topics/never"), 404);
    assert.equal(await gateway.status("/topics/a%20b"), 400);
    assert.equal((await gateway.admin("/topics/shown:1", { method: "POST", body: "{}" })).status, 405);
  });

  it("serves its OpenAPI document, and each answer matches its schema", async () => {
    const document = (await (await gateway.admin("/openapi.json")).json()) as { paths: Record<string, object> };
    for (const path of Object.keys(document.paths).filter((each) => !/publish|name/.test(each))) {
      assert.equal(await gateway.status(path), 200, path);
    }
    schemas.Processes.parse(await (await gateway.admin("/processes")).json());
    schemas.Ready.parse(await (await gateway.admin("/readyz")).json());
    schemas.Alive.parse(await (await gateway.admin("/healthz")).json());
  });

  describe("from the command line", () => {
    it("streams lines from stdin as they arrive", async () => {
      const { client, pushes } = await follow("stdin");
      const run = command("stdin", "-");
      run.process.stdin!.write('{"n":1}\n\n"two"\n');
      await until("two lines arrive", pushes, (all) => all.length === 2);
      run.process.stdin!.end("3");
      const exit = await run.ended;
      assert.deepEqual([exit.code, exit.stderr], [0, ""]);
      assert.deepEqual(JSON.parse(exit.stdout), { code: 0, published: 3, duplicates: 0 });
      await until("three lines arrive", pushes, (all) => all.length === 3);
      assert.deepEqual(pushes(), [{ n: 1 }, "two", 3]);
      await client.end();
    });

    it("reads whole messages with --raw; the topic is for those without one", async () => {
      const { client, pushes } = await follow("raw");
      const run = command("raw", "--raw");
      run.process.stdin!.end('{"data":1}\n{"topic":"elsewhere","data":2}\n{"topic":"raw","data":3,"id":"x"}\n');
      assert.equal((await run.ended).code, 0);
      await until("both arrive", pushes, (all) => all.length === 2);
      assert.deepEqual(pushes(), [1, 3]);
      await client.end();
    });

    it("names the bad line, its own or the gateway's, and ends although stdin is open", async () => {
      const own = command("named", "-");
      own.process.stdin!.write("1\n\n{\n");
      const first = await own.ended;
      assert.equal(first.code, 1);
      assert.match(first.stderr, /^megagate: line 3: it is not JSON.*were published: .*"published":1/);

      const run = command("--raw");
      run.process.stdin!.write('{"topic":"named","data":1}\n{"topic":"a b","data":1}\n');
      const second = await run.ended;
      assert.equal(second.code, 1);
      assert.match(second.stderr, /^megagate: the gateway refused: .*line 2: topic: .*"published":1/);
    });

    it("publishes and deletes a key", async () => {
      const set = command("keyed", '{"a":1}', "--key", "8001");
      assert.match((await set.ended).stdout, /"offset":1/);
      const gone = command("keyed", "--key", "8001", "--delete");
      assert.match((await gone.ended).stdout, /"offset":2/);
      const bad = await command("keyed", "--delete").ended;
      assert.deepEqual([bad.code, bad.stdout], [2, ""]);
    });
  });
});
