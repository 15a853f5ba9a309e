import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GatewayError } from "../../../src/errors.js";
import { Hub, type Peer } from "../../../src/hub/hub.js";
import { Rebuild } from "../../../src/hub/rebuild.js";
import { type Frame, FrameReader } from "../../../src/hub/wire.js";
import { TopicRules } from "../../../src/topics/rules.js";

const usual = {
  historyCount: 10,
  historyBytes: 10_000,
  historySeconds: 60,
  stateKeys: 10,
  slowReaders: "disconnect",
} as const;
const rules = new TopicRules(usual, "bare:history=0,keys=0");

class FakePeer implements Peer {
  readonly frames: Frame[] = [];
  readonly #reader = new FrameReader();

  write(frame: Buffer): void {
    this.frames.push(...this.#reader.read(Buffer.from(frame)));
  }
}

describe("hub", () => {
  it("what topics remember is bounded in all: the oldest without subscribers go first, and are counted", () => {
    const hub = new Hub(rules, 50_000);
    const peer = new FakePeer();
    hub.publish("wanted", '"x"');
    hub.want(peer, "wanted");
    for (let n = 0; n < 1000; n++) hub.publish(`t:${n}`, JSON.stringify("x".repeat(100)));
    assert.ok(hub.memoryBytes <= 51_000, String(hub.memoryBytes));
    assert.equal(hub.topics + hub.evicted, 1001);
    assert.ok(hub.describe("wanted"), "a topic with subscribers stays");
    assert.ok(hub.describe("t:999"), "the newest stays");
    assert.equal(hub.describe("t:0"), undefined);
    const before = hub.publish("t:999", "1").epoch;
    assert.notEqual(hub.publish("t:0", "1").epoch, before);
    assert.equal(hub.publish("t:0", "1").offset, 2, "an evicted topic begins anew");
  });

  it("stays quick where a hundred thousand topics with subscribers remember more than they may", () => {
    const hub = new Hub(rules, 1000);
    const peer: Peer = { write: () => undefined };
    for (let n = 0; n < 100_000; n++) hub.want(peer, `user:${n}`);
    const startedMs = performance.now();
    for (let n = 0; n < 200_000; n++) hub.publish(`user:${n % 100_000}`, "1");
    // It took minutes while a Map was kept in order of age; now well under a second.
    assert.ok(performance.now() - startedMs < 10_000);
    assert.equal(hub.evicted, 0);
  });

  it("topics that were only asked for cost nothing once nobody wants them, and cannot be piled up", () => {
    const hub = new Hub(rules, 20_000);
    const peer = new FakePeer();
    hub.want(peer, "a");
    hub.unwant(peer, "a");
    assert.deepEqual([hub.topics, hub.memoryBytes], [0, 0]);
    for (let n = 0; n < 1000; n++) hub.publish(`bare:${n}`, "1");
    assert.ok(hub.topics < 200, String(hub.topics));
  });

  it("the account of bytes is exact: forgetting everything leaves nothing", () => {
    const hub = new Hub(rules, 1e9);
    for (let n = 0; n < 200; n++) hub.publish(`t:${n % 7}`, n % 3 === 0 ? "null" : '"value"', `k${n % 10}`);
    const counted = hub.memoryBytes;
    const copy = new Hub(rules, 1e9);
    for (const image of hub.images()) copy.adopt(image);
    assert.equal(copy.memoryBytes, counted);
  });

  it("a worker that knows numbers which a rebuilt hub does not makes the topic begin anew, for every follower", () => {
    const hub = new Hub(rules, 1e9);
    const [early, late] = [new FakePeer(), new FakePeer()];
    hub.adopt({ topic: "t", epoch: "e", offset: 5, history: [], state: [{ key: "k", data: "1" }] });
    hub.want(early, "t", { epoch: "e", offset: 5 });
    hub.want(late, "t", { epoch: "e", offset: 9 });
    for (const peer of [early, late]) {
      const last = peer.frames.at(-1);
      assert.ok(last?.type === "standing" && last.epoch !== "e" && last.offset === 0);
      assert.deepEqual(last.state, [{ key: "k", data: "1" }]);
    }
  });

  it("refuses publications while it is rebuilt, and answers what waited when it is done", () => {
    const hub = new Hub(rules, 1e9);
    const done: number[] = [];
    const rebuild = new Rebuild(hub, 2, true, (offered) => done.push(offered));
    let ran = false;
    rebuild.whenDone(() => {
      ran = true;
    });
    assert.throws(
      () => hub.publish("t", "1"),
      (error) => error instanceof GatewayError && error.kind === "hubUnavailable",
    );
    rebuild.offered(0);
    rebuild.offered(0);
    assert.equal(ran, false);
    rebuild.offered(1);
    assert.deepEqual([ran, done], [true, [2]]);
    assert.equal(hub.publish("t", "1").offset, 1);
  });
});
