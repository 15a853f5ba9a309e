/** Clients of the admin port that ask for a large state and do not read cost bounded memory and delay no publication. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const KEYS = 3000;
const DATA = "x".repeat(1000);

const megabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

async function fill(gateway: Gateway): Promise<void> {
  const messages = Array.from({ length: KEYS }, (_, i) => ({ topic: "big", key: `k${i}`, data: DATA }));
  const { status } = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(messages) });
  assert.equal(status, 200);
}

interface Page {
  readonly offset: number;
  readonly state: readonly { readonly key: string; readonly data: unknown }[];
  readonly next?: string;
}
const page = async (gateway: Gateway, query: string): Promise<Page> =>
  (await (await gateway.admin(`/topics/big${query}`)).json()) as Page;

describe("a large state on the admin port", () => {
  it("is read in pages: by default a thousand keys, a mebibyte at most, and each key once", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--stop-seconds", "2");
    await fill(gateway);
    const first = await page(gateway, "");
    assert.ok(first.state.length > 900 && first.state.length <= 1000, `${first.state.length}`);
    const keys: string[] = [];
    for (let query = "?limit=700"; query !== ""; ) {
      const { state, next, offset } = await page(gateway, query);
      assert.equal(offset, KEYS);
      keys.push(...state.map(({ key }) => key));
      query = next === undefined ? "" : `?limit=700&after=${encodeURIComponent(next)}`;
    }
    assert.equal(keys.length, KEYS);
    assert.equal(new Set(keys).size, KEYS);
    assert.deepEqual((await page(gateway, "?after=k999")).next, undefined);
    const bad = await gateway.admin("/topics/big?limit=many");
    assert.equal(bad.status, 400);
    assert.match(await bad.text(), /limit: a whole number from 1 to 10000/);
  });

  it("costs little where its clients do not read: memory stays bounded, publications are not delayed, late readers are disconnected", async () => {
    const options = ["--workers", "1", "--stop-seconds", "2", "--admin-answer-seconds", "2"];
    await using gateway = await Gateway.start(...options);
    await fill(gateway);
    const hub = (await gateway.processes()).find(({ role }) => role === "hub")!.pid;
    const before = megabytes(hub);
    const silent: Socket[] = [];
    for (let i = 0; i < 150; i++) {
      const socket = connect(gateway.adminPort, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.pause();
      socket.write("GET /topics/big?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20));
      silent.push(socket);
    }
    let slowestMs = 0;
    let max = before;
    for (const endMs = performance.now() + 4000; performance.now() < endMs; ) {
      const startMs = performance.now();
      await gateway.publish("news", 1);
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
      max = Math.max(max, megabytes(hub));
    }
    assert.ok(max - before < 130, `the hub grew from ${before.toFixed()} to ${max.toFixed()} MB`);
    assert.ok(slowestMs < 2500, `a publication took ${slowestMs.toFixed()} ms`);
    await until(
      "late readers are disconnected",
      () => gateway.metric('megagate_admin_refused_total{reason="unread"}'),
      (n) => n > 0,
    );
    for (const socket of silent) socket.destroy();
  });
});
