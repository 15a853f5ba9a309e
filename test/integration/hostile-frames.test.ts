/** Hostile clients behind a good handshake: floods, broken frames, abused close codes and topics. Well-behaved ones on the same workers notice nothing. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, frame, RawPeer } from "../support/client.js";
import { FRAMING_FAULT } from "../support/engine.js";
import { closedFor, GatewayUnderAttack } from "../support/gateway-under-attack.js";
import { until } from "../support/wait.js";

const LIMIT = 40;
const TOPICS = 10;
/** Requests that may wait besides one for each topic (session/following.ts). */
const REPEATED = 32;

describe("hostile frames", () => {
  let attacked: GatewayUnderAttack;
  let port: number;
  before(async () => {
    attacked = await GatewayUnderAttack.start(
      ...["--max-requests-per-second", String(LIMIT), "--max-topics-per-connection", String(TOPICS)],
      ...["--topic-linger-seconds", "1", "--max-idle-topics", "100"],
    );
    port = attacked.gateway.port;
  });
  after(() => attacked.end());

  /** Sends the frames to a new connection; what came back before the gateway closed it, as latin1. */
  const answered = async (...frames: Buffer[]): Promise<string> => {
    const peer = await RawPeer.upgraded(port);
    return await peer.untilEnd(Buffer.concat(frames));
  };
  const many = (n: number, make: (i: number) => Buffer): Buffer[] => Array.from({ length: n }, (_, i) => make(i));
  const closeFrame = (code: number, reason: Uint8Array = Buffer.alloc(0)): Buffer =>
    frame(8, Buffer.concat([Buffer.of(code >> 8, code & 0xff), reason]));

  const closing = (code: number, reason: string): string =>
    String.fromCharCode(0x88, 2 + reason.length, code >> 8, code & 0xff) + reason;

  for (const [name, make] of [
    ["heartbeats", () => frame(1, "ping")],
    ["pings", () => frame(9, "p")],
    ["pongs that nobody asked for", () => frame(10, "")],
    ["subscriptions", (i) => frame(1, JSON.stringify({ reqtype: "Subscribe", topic: `flood${i}` }))],
    ["requests that are no JSON", () => frame(1, "{{{")],
  ] satisfies [string, (i: number) => Buffer][]) {
    it(`a flood of ${name}: 1008 with the limit, however many come at once`, async () => {
      const text = await attacked.expectCounted(closedFor("flood"), 20, async () => {
        const all = await Promise.all(many(20, () => Buffer.alloc(0)).map(() => answered(...many(400, make))));
        return all[0]!;
      });
      assert.ok(text.endsWith(closing(1008, "a connection may send 50 messages and pings in a second")), text);
    });
  }

  it("as many as are allowed, second after second, are answered", async () => {
    const client = await Client.open(attacked.gateway.url);
    for (let second = 1; second <= 2; second++) {
      for (let i = 0; i < LIMIT; i++) client.send("ping");
      await until(
        "answers",
        () => client.messages.length,
        (n) => n === LIMIT * second,
      );
      await new Promise((resolve) => setTimeout(resolve, 1100));
    }
    await client.end();
  });

  it("a new topic with each request: refused beyond the limit, forgotten soon after", async () => {
    const churn = async (): Promise<void> => {
      for (let round = 0; round < 4; round++) {
        const client = await Client.open(attacked.gateway.url);
        for (let i = 0; i < TOPICS * 2; i++)
          client.send({ reqtype: "Subscribe", topic: `${"t".repeat(100)}${round}-${i}` });
        await until(
          "answers",
          () => client.messages.length,
          (n) => n === TOPICS * 2,
        );
        assert.equal(client.messages.filter(({ code }) => code === 4003).length, TOPICS);
        client.socket.terminate();
      }
    };
    await attacked.expectCounted("megagate_errors_answered_total", 30 * 4 * TOPICS, async () => {
      await Promise.all(Array.from({ length: 30 }, churn));
    });
    const topics = (): Promise<number> => attacked.gateway.metric("megagate_topics");
    await until("the hub forgets them", topics, (n) => n <= 2);
    await until(
      "workers forget them",
      () => attacked.gateway.metric("megagate_worker_topics"),
      (n) => n <= 4,
    );
  });

  it("positions that lie ahead: one connection cannot wait with more requests than its topics and a few", async () => {
    const { epoch } = await attacked.gateway.publish("ahead", 1);
    const client = await Client.open(`${attacked.gateway.url}?topics=ahead`);
    await client.find("subscribed", (m) => m.reqtype === "Subscribe");
    const since = { epoch, offset: 1000 };
    for (let i = 0; i < TOPICS + REPEATED + 5; i++) client.send({ reqtype: "Subscribe", topic: "ahead", since, id: i });
    await until(
      "refusals",
      () => client.messages.filter(({ code }) => code === 4006).length,
      (n) => n === 5,
    );
    await client.end();
  });

  it("topics named like properties of objects are topics like any other", async () => {
    const client = await Client.open(attacked.gateway.url);
    for (const topic of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      client.send({ reqtype: "Subscribe", topic });
      await client.find(topic, (m) => m.topic === topic && m.code === 0);
      const { offset } = await attacked.gateway.publish(topic, "x");
      await client.find(`push of ${topic}`, (m) => m.topic === topic && m.offset === offset && m.data === "x");
    }
    for (const topic of ["", "a b", "a\u0000", "ä", ":", "a::b", "../a", "x".repeat(129), 1, null, {}, ["a"]])
      client.send({ reqtype: "Subscribe", topic, id: "bad" });
    await until(
      "refusals",
      () => client.messages.filter((m) => m.id === "bad" && m.code === 4002).length,
      (n) => n === 12,
    );
    await client.end();
  });

  it("JSON that is deep, or has huge numbers and repeated keys: answered", async () => {
    const client = await Client.open(attacked.gateway.url);
    const bombs = ["[".repeat(2000), `${"[".repeat(1000)}${"]".repeat(1000)}`, `{"id":${"9".repeat(1900)}}`];
    bombs.push(
      `{"a":${'{"a":'.repeat(300)}1${"}".repeat(301)}`,
      `{${'"reqtype":"Subscribe",'.repeat(80)}"topic":"a b"}`,
    );
    for (const bomb of bombs) client.send(bomb);
    await until(
      "answers",
      () => client.messages.map(({ code }) => code),
      (codes) => codes.length === bombs.length,
    );
    assert.deepEqual(
      client.messages.map(({ code }) => code),
      [4000, 4000, 4001, 4001, 4002],
    );
    await client.end();
  });

  it("a message in fragments is one message; too big in sum is too big, as 1009 or cut", async () => {
    const peer = await RawPeer.upgraded(port);
    peer.socket.write(Buffer.concat([frame(1, "pi", { head: 0x01 }), frame(9, "mid"), frame(0, "ng")]));
    await until(
      "pong",
      () => peer.received,
      (text) => text.endsWith("\x04pong"),
    );
    peer.socket.destroy();
    const half = (n: number): Buffer[] => [frame(1, "x".repeat(n), { head: 0x01 }), frame(0, "x".repeat(n))];
    const text = await attacked.expectCounted(closedFor("too_big"), 1, () => answered(...half(1500)));
    assert.ok(text.endsWith(closing(1009, "a message may have 2048 bytes")), text);
    assert.equal(await attacked.expectCounted(closedFor("too_big"), 1, () => answered(...half(5000))), "");
  });

  it("fragments without content and without end: unanswered, and they harm nobody", async () => {
    const from = await attacked.gateway.metric(closedFor("abnormal"));
    const flood = async (): Promise<void> => {
      const peer = await RawPeer.upgraded(port);
      peer.socket.write(frame(1, "", { head: 0x01 }));
      const empty = Buffer.concat(many(5000, () => frame(0, "", { head: 0x00 })));
      for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => peer.socket.write(empty, () => resolve()));
      peer.socket.destroy();
    };
    await attacked.under(Promise.all(Array.from({ length: 5 }, flood)), { metric: closedFor("abnormal"), by: 5, from });
  });

  it("reserved bits, unknown opcodes, bad lengths and bad UTF-8: cut, all at once", async () => {
    const broken = [
      frame(1, "x", { head: 0xc1 }),
      frame(1, "x", { head: 0x91 }),
      frame(3, "x"),
      frame(11, "x"),
      frame(9, "x".repeat(126)),
      frame(8, "", { head: 0x08 }),
      frame(0, "x"),
    ];
    const endless = Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    await attacked.expectCounted(closedFor(FRAMING_FAULT), 70, async () => {
      await Promise.all(broken.flatMap((bytes) => many(10, () => bytes)).map((bytes) => answered(bytes)));
    });
    await attacked.expectCounted(closedFor("too_big"), 10, async () => {
      await Promise.all(many(10, () => endless).map((bytes) => answered(bytes)));
    });
    await attacked.expectCounted(closedFor("protocol"), 20, async () => {
      await Promise.all(many(20, () => frame(1, Buffer.from([0xed, 0xa0, 0x80]))).map((bytes) => answered(bytes)));
    });
  });

  it("close codes that nobody may send: an empty close, and the connection is over", async () => {
    const codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    await attacked.expectCounted(
      closedFor("abnormal"),
      0,
      async () => {
        for (const code of codes) assert.match(await answered(closeFrame(code)), /^\x88/, String(code));
      },
      true,
    );
    await attacked.expectCounted(closedFor("client"), 3, async () => {
      assert.equal(await answered(closeFrame(1000, Buffer.from("bye"))), "\x88\x05\x03\xe8bye");
      assert.equal(await answered(frame(8, "")), "\x88\x00");
      const twice = await answered(closeFrame(1000), closeFrame(1000), frame(1, "ping"));
      assert.equal(twice, "\x88\x02\x03\xe8", "what follows a close frame is not read");
    });
    assert.equal(await answered(closeFrame(1000, Buffer.from([0xc3, 0x28]))), "\x88\x00");
  });
});
