/**
 * A socket that takes nothing costs the worker little, however it stalled and whatever it sends: a reader that asks again and
 * again holds at most one state, and one without progress is disconnected when its grace is over.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { Client, frame, RawPeer } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const MB = 1e6;
const PAD = "x".repeat(10_000);
const KEYS = 200;

const publish = async (gateway: Gateway, messages: readonly object[]): Promise<void> => {
  const response = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(messages) });
  assert.equal(response.status, 200, await response.text());
};

/** Two megabytes of state for each of the topics. */
async function fill(gateway: Gateway, topics: readonly string[]): Promise<void> {
  for (const topic of topics)
    for (let from = 0; from < KEYS; from += 50)
      await publish(
        gateway,
        Array.from({ length: 50 }, (_, i) => ({ topic, key: `k${from + i}`, data: PAD })),
      );
}

const send = (peer: RawPeer, request: object): void => void peer.socket.write(frame(1, JSON.stringify(request)));

describe("a stalled reader", () => {
  it("that asks again each second, while its topics move on, holds one state, not one for each request", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--slow-reader-grace-ms", "600000");
    const topics = Array.from({ length: 10 }, (_, i) => `t${i}`);
    await fill(gateway, topics);
    const { pid } = (await gateway.processes()).find(({ role }) => role === "worker")!;
    const residentMb = (): number =>
      (Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024) / MB;
    // Once for a client that reads, so that the fixed cost of each state is not counted.
    const warm = await Client.open(gateway.url);
    for (const topic of topics) {
      // One after the other, because together they are more than --hub-queue-bytes.
      warm.send({ reqtype: "Query", action: `all${topic}` });
      await warm.find(topic, (m) => m.topic === topic);
    }
    const peer = await RawPeer.upgraded(gateway.port);
    peer.socket.pause();
    const beforeMb = residentMb();
    let maxMb = 0;
    for (let second = 0; second < 7; second++) {
      await publish(
        gateway,
        topics.map((topic) => ({ topic, key: "k0", data: `${PAD}${second}` })),
      );
      for (const topic of topics) send(peer, { reqtype: "Query", action: `all${topic}`, id: second });
      await new Promise((resolve) => setTimeout(resolve, 1050));
      maxMb = Math.max(maxMb, residentMb() - beforeMb);
    }
    assert.ok(maxMb < 60, `it cost ${maxMb.toFixed(0)} MB; 70 requests for 2 MB each`);
    peer.socket.destroy();
    await warm.end();
  });

  describe("whose grace of two seconds is over", () => {
    let gateway: Gateway;
    before(async () => {
      const rules = "big:slow=conflate;history:history=100000,bytes=100000000";
      gateway = await Gateway.start("--workers", "1", "--slow-reader-grace-ms", "2000", "--topic-rules", rules);
    });
    after(() => gateway[Symbol.asyncDispose]());
    const cuts = (): Promise<number> => gateway.metric('megagate_closed_total{reason="slow"}');

    /** Its pongs keep it alive for uWebSockets. */
    async function isCut(peer: RawPeer, again?: object): Promise<void> {
      const cutBefore = await cuts();
      const alive = setInterval(() => {
        peer.socket.write(frame(10, ""));
        if (again) send(peer, again);
      }, 1000);
      const startMs = Date.now();
      await until("cut", cuts, (n) => n === cutBefore + 1, 15_000);
      clearInterval(alive);
      assert.ok(Date.now() - startMs > 1000, "not before its grace is over");
      peer.socket.destroy();
    }

    it("is disconnected during a state, whatever it sends and whatever its topic tolerates", async () => {
      // Together more than the kernel queues for a stalled socket.
      const topics = [1, 2, 3, 4, 5, 6].map((i) => `big:${i}`);
      await fill(gateway, topics);
      for (const again of [undefined, { reqtype: "Subscribe", topic: "big:1", id: 1 }]) {
        const peer = await RawPeer.upgraded(gateway.port);
        peer.socket.pause();
        for (const topic of topics) send(peer, { reqtype: "Query", action: `all${topic}` });
        await isCut(peer, again);
      }
    });

    it("is disconnected during a history", async () => {
      const topic = "history";
      // So that the worker has the whole history, which is more than the hub could send in one frame.
      const follower = await Client.open(`${gateway.url}?topics=${topic}`);
      for (let i = 0; i < 6; i++) await fill(gateway, [topic]);
      const { epoch } = (await (await gateway.admin(`/topics/${topic}`)).json()) as { epoch: string };
      const peer = await RawPeer.upgraded(gateway.port);
      peer.socket.pause();
      send(peer, { reqtype: "Subscribe", topic, since: { epoch, offset: 0 } });
      await isCut(peer);
      await follower.end();
    });
  });
});
