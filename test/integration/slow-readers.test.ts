/** A reader that cannot keep up is treated by its topic's policy, to the last message, and other readers are not affected. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { UnsentReason } from "../../src/metrics/reasons.js";
import type { SlowReader } from "../../src/metrics/slow-reader.js";
import { Client, type Message } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const PAD = "x".repeat(4000);
/** More than kernel and gateway buffer for one connection, whatever the machine's limits. */
const PUBLICATIONS = 6000;
const KEYS = 10;

describe("slow readers", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start(
      "--workers",
      "1",
      // A reader that asks without reading must be recognised by what it does not read, not by how much it asks.
      "--max-requests-per-second",
      "0",
      "--history-count",
      "100000",
      "--history-bytes",
      "100MB",
      "--topic-rules",
      "newest:slow=conflate;present:slow=drop;short:slow=conflate,history=5",
    );
  });
  after(() => gateway[Symbol.asyncDispose]());

  /** Batches of `batch`; `each` is awaited between them, for a reader that is meant to keep up. */
  const publishMany = async (
    topics: readonly string[],
    batch = 500,
    each: (last: number) => Promise<unknown> = () => Promise.resolve(),
  ): Promise<number> => {
    let last = 0;
    for (let from = 0; from < PUBLICATIONS; from += batch) {
      const messages = Array.from({ length: batch }, (_, i) => ({
        topic: topics[(from + i) % topics.length],
        key: `k${(from + i) % KEYS}`,
        data: { n: from + i, PAD },
      }));
      const response = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(messages) });
      const { results } = (await response.json()) as { results: { offset: number }[] };
      last = results.at(-1)!.offset;
      await each(last);
    }
    return last;
  };

  const unsent = async (reason: UnsentReason): Promise<number> =>
    await gateway.metric(`megagate_unsent_messages_total{reason="${reason}"}`);

  const slowReaders = async (): Promise<readonly SlowReader[]> =>
    ((await (await gateway.admin("/slow-readers")).json()) as { readers: SlowReader[] }).readers;

  let opened = 0;
  const follow = (...topics: string[]): Promise<Client> => {
    opened += 1;
    return Client.open(`${gateway.url}?topics=${topics.join(",")}`);
  };

  /** Follows the topics, then reads nothing until `socket.resume()`. */
  const stalled = async (...topics: string[]): Promise<Client> => {
    const client = await follow(...topics);
    await until(
      "answers",
      () => client.messages.length,
      (n) => n === topics.length,
    );
    client.socket.pause();
    return client;
  };

  const isPush = ({ event, reqtype, offset }: Message): boolean =>
    event === undefined && reqtype === undefined && offset !== undefined;

  const reach = (client: Client, topic: string, offset: number): Promise<unknown> =>
    until(
      `${topic} at ${offset}`,
      () => client.messages.findLast((m) => m.topic === topic),
      (m) => m?.offset === offset || m?.to === offset,
      30_000,
    );

  it("conflate: the newest push of each key, each naming its predecessor; the rest is counted", async () => {
    const slow = await stalled("newest:1");
    const fast = await follow("newest:1");
    const last = await publishMany(["newest:1"], 30, (offset) => reach(fast, "newest:1", offset));
    assert.equal(fast.messages.filter(isPush).length, PUBLICATIONS, "a reader that keeps up misses nothing");
    const [worst] = await slowReaders();
    assert.deepEqual(worst?.topics, ["newest:1"]);
    assert.equal(worst.address, "127.0.0.1");
    assert.ok(worst.messages > 1000 && worst.bytes > 4e6, JSON.stringify(worst));
    slow.send({ reqtype: "Heartbeat" });
    slow.socket.resume();
    await reach(slow, "newest:1", last);
    const pushes = slow.messages.filter(isPush);
    let previous = 0;
    for (const { offset, prev } of pushes) {
      assert.equal(prev ?? (offset as number) - 1, previous);
      previous = offset as number;
    }
    const newest = new Set(pushes.slice(-KEYS).map(({ key }) => key));
    assert.equal(newest.size, KEYS);
    const missed = await until(
      "the account",
      async () => await unsent("conflate"),
      (n) => n > 0,
    );
    assert.equal(pushes.length + missed, PUBLICATIONS, "received and superseded are all there were");
    await gateway.shows("megagate_slow_readers", 0);
    await slow.find("heartbeat answer", (m) => m.reqtype === "Heartbeat");
    await Promise.all([slow.end(), fast.end()]);
  });

  it("drop: a reader is sent exactly which offsets it missed, and is live from there", async () => {
    const slow = await stalled("present:1");
    const last = await publishMany(["present:1"]);
    slow.socket.resume();
    await reach(slow, "present:1", last);
    const before = slow.messages.filter(isPush);
    const dropped = slow.messages.filter((m) => m.event === "dropped");
    const missed = dropped.reduce((sum, { from, to }) => sum + (to as number) - (from as number) + 1, 0);
    assert.ok(missed > 1000);
    assert.equal(before.length + missed, PUBLICATIONS);
    assert.equal(
      await until(
        "the account",
        async () => await unsent("drop"),
        (n) => n > 0,
      ),
      missed,
    );
    await gateway.publish("present:1", "now");
    assert.equal((await slow.find("live", (m) => m.data === "now")).offset, last + 1);
    await slow.end();
  });

  it("disconnect: a reader is disconnected, counted, and listed with what it did not get", async () => {
    const slow = await stalled("plain");
    await publishMany(["plain"]);
    await until(
      "cut",
      async () => await gateway.metric('megagate_closed_total{reason="slow"}'),
      (n) => n === 1,
    );
    const cut = (await slowReaders()).find(({ topics }) => topics.includes("plain"));
    assert.ok(cut?.cutMs !== undefined && cut.messages > 0, JSON.stringify(cut));
    assert.ok((await unsent("disconnect")) > 0);
    slow.socket.resume();
    await slow.untilClosed();
    const got = slow.messages.filter(isPush).map(({ offset }) => offset);
    assert.deepEqual(
      got,
      Array.from(got, (_, i) => i + 1),
      "what came is without gap up to the cut",
    );
  });

  it("several topics with different policies in one burst: each is treated by its own, without a gap", async () => {
    const slow = await stalled("newest:2", "present:2", "newest:3");
    await publishMany(["newest:2", "present:2", "newest:3"]);
    slow.socket.resume();
    for (const topic of ["newest:2", "present:2", "newest:3"]) {
      await reach(slow, topic, PUBLICATIONS / 3);
      let previous = 0;
      for (const m of slow.messages.filter((each) => each.topic === topic && each.reqtype === undefined)) {
        const from =
          m.event === "dropped" ? (m.from as number) - 1 : ((m.prev as number | undefined) ?? (m.offset as number) - 1);
        assert.equal(from, previous, `${topic}: ${JSON.stringify({ ...m, data: undefined })}`);
        previous = (m.to ?? m.offset) as number;
      }
    }
    await slow.end();
  });

  it("a reader that misses more than is remembered gets the state, and that is counted too", async () => {
    const counted = async (): Promise<number> => (await unsent("conflate")) + (await unsent("reset"));
    // Counters are reported once a second: when all connections are counted as closed, everything before is counted too.
    const accepted = (): Promise<number> => gateway.metric("megagate_accepted_total");
    await until("all have come", accepted, (n) => n === opened);
    await until(
      "no client is connected",
      () => gateway.metric("megagate_connections"),
      (n) => n === 0,
    );
    const before = await counted();
    const slow = await stalled("short:1");
    const last = await publishMany(["short:1"]);
    slow.socket.resume();
    const { data } = await slow.find("reset", (m) => m.event === "reset");
    assert.equal((data as unknown[]).length, KEYS);
    await reach(slow, "short:1", last);
    const missed = PUBLICATIONS - slow.messages.filter(isPush).length;
    await until("the account", counted, (n) => n === before + missed);
    assert.ok((await unsent("reset")) > 0);
    await slow.end();
  });

  it("a client that asks without reading the answers is disconnected, whatever its topics' policy", async () => {
    const cuts = (): Promise<number> => gateway.metric('megagate_closed_total{reason="slow"}');
    const cutBefore = await cuts();
    const greedy = await stalled("newest:4");
    const ask = JSON.stringify({ reqtype: "Query", action: "allnewest:1", id: "x".repeat(200) });
    const stop = Date.now() + 20_000;
    while (!greedy.closed && Date.now() < stop && (await cuts()) === cutBefore)
      for (let i = 0; i < 2000; i++) greedy.socket.send(ask);
    await until("cut", cuts, (n) => n > cutBefore);
    greedy.socket.terminate();
  });
});
