/** The identity of a connection: its topic by its number over all generators, and a handshake that continues from its position. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeyPool, UpgradeRequest } from "../../../../load/generator/handshake.js";
import { TopicIdentities, topicCount } from "../../../../load/reconnects/identities.js";
import { Positions } from "../../../../load/reconnects/positions.js";

const DUTY = { host: "127.0.0.1:8080", path: "/ws?topics=load", topic: "load" };

function identities(first: number, topics: number): { ids: TopicIdentities; positions: Positions } {
  const positions = new Positions(10);
  const returning = { policy: "sdk", naiveMs: 0, topics, socketsPerTopic: 100, first } as const;
  return { ids: new TopicIdentities(DUTY, returning, positions), positions };
}

describe("identities of connections that reconnect", () => {
  it("neighbours share a topic, and the last topic may have fewer", () => {
    const { ids } = identities(197, 3);
    assert.deepEqual(
      [0, 2, 3].map((number) => ids.topic(number)),
      ["load:1", "load:1", "load:2"],
    );
    assert.deepEqual([topicCount(200, 100), topicCount(201, 100), topicCount(5, 100)], [2, 3, 1]);
    assert.equal(identities(0, 1).ids.topic(0), "load", "one topic needs no number");
  });

  it("the first handshake is that of every load connection; the next one names the position", () => {
    const pool = new KeyPool(2);
    const { ids, positions } = identities(0, 1);
    const plain = new UpgradeRequest(DUTY.host, DUTY.path).withKey(pool, 1);
    assert.equal(ids.request(pool, 1, 4).toString("latin1"), plain.toString("latin1"));
    const place = { topic: "load", epoch: "abc", offset: 57 };
    positions.joined(4, { type: "subscribed", code: 0, recovered: false, ...place });
    const next = ids.request(pool, 0, 4).toString("latin1");
    assert.match(next, /^GET \/ws\?topics=load@abc:57 HTTP\/1\.1\r\nHost: 127\.0\.0\.1:8080\r\n/);
    assert.ok(next.endsWith(`Sec-WebSocket-Key: ${pool.keys.toString("latin1", 0, 24)}\r\n\r\n`));
  });
});
