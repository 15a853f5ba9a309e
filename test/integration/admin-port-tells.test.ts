/**
 * What the admin port tells an operator and the programs that ask it: the list of topics, a document of every route, metrics
 * that Prometheus' own checker finds nothing in, and where the clients connect.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import type { TopicList } from "../../src/hub/topic-list.js";
import { TopicList as ListSchema, Processes } from "../../src/publish/schema.js";
import { Client } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { needsPrograms } from "../support/needs.js";
import { until } from "../support/wait.js";

describe("the admin port", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "2");
  });
  after(() => gateway[Symbol.asyncDispose]());

  const list = async (query: string): Promise<TopicList> => {
    const body: unknown = await (await gateway.admin(`/topics${query}`)).json();
    ListSchema.parse(body);
    return body as TopicList;
  };

  it("lists topics with their subscribers over all workers, and their sizes", async () => {
    await gateway.publish("room:1", { text: "hello" });
    await gateway.publish("room:2", 1);
    await gateway.publish("other", 1);
    const clients = await Promise.all(
      Array.from({ length: 8 }, (_, i) => Client.open(`${gateway.url}?topics=room:1${i % 4 === 0 ? ",room:2" : ""}`)),
    );
    const { topics, total } = await until(
      "both rooms with their subscribers",
      () => list("?prefix=room:"),
      (seen) => seen.topics.map(({ subscribers }) => subscribers).join() === "8,2",
    );
    assert.deepEqual(
      topics.map(({ topic, offset, history }) => [topic, offset, history.count]),
      [
        ["room:1", 1, 1],
        ["room:2", 1, 1],
      ],
    );
    assert.equal(total, 3);
    const first = await list("?prefix=room:&limit=1");
    assert.equal(first.next, "room:1");
    assert.deepEqual((await list(`?prefix=room:&limit=1&after=${first.next}`)).next, undefined);
    assert.equal(await gateway.status("/topics?limit=x"), 400);
    await Promise.all(clients.map((client) => client.end()));
  });

  it("has every route in openapi.json, and there no other", async () => {
    // What it answers to an unknown path is made of its table of routes.
    const { error } = (await (await gateway.admin("/nowhere")).json()) as { error: string };
    const routes = [...error.matchAll(/(GET|POST|PUT|DELETE|HEAD|PATCH) (\/[^\s,]*)/g)].map(([route]) => route);
    const { paths } = (await (await gateway.admin("/openapi.json")).json()) as { paths: Record<string, object> };
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.ok(routes.length >= 12, error);
    assert.deepEqual(described.sort(), routes.sort());
  });

  it("gives metrics in which `promtool check metrics` finds nothing", {
    skip: needsPrograms("promtool"),
  }, async () => {
    const input = await (await gateway.admin("/metrics")).text();
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input, encoding: "utf8" });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  });

  it("says where clients connect, on the port that a gateway with --port 0 was given", async () => {
    const processes = Processes.parse(await (await gateway.admin("/processes")).json());
    assert.equal(processes.clients, gateway.url);
  });
});
