/**
 * What a client may do wrong: each has a clear answer or close code where uWebSockets permits one, else the connection
 * is cut; all is counted, nothing crashes, and a well-behaved client at the same time is not disturbed.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, frame, HANDSHAKE, RawPeer } from "../support/client.js";
import { ANSWER_TO_GARBAGE, FRAMING_FAULT } from "../support/engine.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

describe("bad input", () => {
  let gateway: Gateway;
  let honest: Client;
  before(async () => {
    gateway = await Gateway.start("--workers", "2", "--max-topics-per-connection", "3", "--max-message-bytes", "1024");
    honest = await Client.open(`${gateway.url}?topics=honest`);
  });
  after(async () => {
    const { offset } = await gateway.publish("honest", "still here");
    await honest.find("the honest client is undisturbed", (m) => m.offset === offset && m.reqtype === undefined);
    await gateway.shows("megagate_worker_restarts_total", 0);
    await honest.end();
    await gateway[Symbol.asyncDispose]();
  });

  const counted = (metric: string, from: number): Promise<number> =>
    until(
      metric,
      () => gateway.metric(metric),
      (value) => value === from + 1,
    );

  /** Sends raw bytes as a handshake; returns status line, body, and checks that the refusal is counted. */
  async function refusal(request: string, reason: string): Promise<{ status: number; text: string }> {
    const metric = `megagate_refused_total{reason="${reason}"}`;
    const before = await gateway.metric(metric);
    const peer = await RawPeer.connect(gateway.port);
    const text = await peer.untilEnd(request);
    await counted(metric, before);
    return { status: Number(text.split(" ")[1]), text };
  }

  it("plain HTTP on the WebSocket path: 426 with Upgrade", async () => {
    const { status, text } = await refusal("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "not_upgrade");
    assert.equal(status, 426);
    assert.match(text, /Upgrade: websocket\r\n/);
    assert.match(text, /\{"code":4010,"error":"this path speaks WebSocket only"\}$/);
  });

  it("a short key, or POST: 400 naming the fault", async () => {
    const short = await refusal(HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), "bad_handshake");
    assert.equal(short.status, 400);
    assert.match(short.text, /Sec-WebSocket-Key/);
    const post = await refusal(HANDSHAKE.replace("GET", "POST"), "bad_handshake");
    assert.equal(post.status, 400);
  });

  it("another version: 426 with the version that is spoken", async () => {
    const { status, text } = await refusal(HANDSHAKE.replace("Version: 13", "Version: 8"), "bad_version");
    assert.equal(status, 426);
    assert.match(text, /Sec-WebSocket-Version: 13\r\n/);
    assert.equal((await refusal(HANDSHAKE.replace("Sec-WebSocket-Version: 13\r\n", ""), "bad_version")).status, 426);
  });

  it("an unknown path: 404", async () => {
    assert.equal((await refusal("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "not_found")).status, 404);
  });

  it("bad or too many topics in the URL: 400", async () => {
    const bad = await refusal(HANDSHAKE.replace("/ws", "/ws?topics=a,,b"), "bad_topic");
    assert.match(bad.text, /^HTTP\/1.1 400 .*names joined by commas/s);
    const many = await refusal(HANDSHAKE.replace("/ws", "/ws?topics=a,b,c,d"), "bad_topic");
    assert.match(many.text, /"code":4003,"error":"topics: at most 3"/);
    const together = await refusal(HANDSHAKE.replace("/ws", "/ws?topics=a,b&x=1&topics=c,d"), "bad_topic");
    assert.match(together.text, /"code":4003,"error":"topics: at most 3"/);
    for (const text of ["a,b,c%", "%zz", "100%", "%zz&topics=a", "a&topics=%25zz"]) {
      const malformed = await refusal(HANDSHAKE.replace("/ws", `/ws?topics=${text}`), "bad_topic");
      assert.match(malformed.text, /^HTTP\/1.1 400 .*"code":4002/s, text);
    }
  });

  it("garbage, and half a handshake: answered or cut by uWebSockets, and counted", async () => {
    const { status, text } = await refusal("NONSENSE\r\n\r\n", "broken");
    assert.equal(text === "" ? "cut" : status, ANSWER_TO_GARBAGE);
    assert.equal((await refusal("GET / HTTP/1.0\r\n\r\n", "broken")).status, 505);
    const before = await gateway.metric('megagate_refused_total{reason="broken"}');
    const silent = await RawPeer.connect(gateway.port);
    const started = Date.now();
    await silent.untilEnd("GET /ws HTTP/1.1\r\nHost: x\r\n");
    assert.ok(Date.now() - started < 16_000, "cut within uWebSockets' handshake budget of 10 s, seen as 12");
    await counted('megagate_refused_total{reason="broken"}', before);
    await gateway.shows("megagate_handshakes_in_flight", 0);
  });

  it("an oversized message: 1009 with the limit; over the native limit: cut", async () => {
    const before = await gateway.metric('megagate_closed_total{reason="too_big"}');
    const client = await Client.open(gateway.url);
    client.send("x".repeat(1025));
    assert.deepEqual(await client.untilClosed(), { code: 1009, reason: "a message may have 1024 bytes" });
    await counted('megagate_closed_total{reason="too_big"}', before);
    const peer = await RawPeer.upgraded(gateway.port);
    await peer.untilEnd(frame(1, "x".repeat(9000)));
    await counted('megagate_closed_total{reason="too_big"}', before + 1);
  });

  it("reserved bits, unknown opcode, long or fragmented control frames: cut", async () => {
    const bytes = [
      frame(1, "x", { head: 0xf1 }),
      frame(3, "x"),
      frame(9, "x".repeat(126)),
      frame(9, "x", { head: 0x09 }),
      frame(0, "lone continuation"),
    ];
    for (const each of bytes) {
      const before = await gateway.metric(`megagate_closed_total{reason="${FRAMING_FAULT}"}`);
      const peer = await RawPeer.upgraded(gateway.port);
      await peer.untilEnd(each);
      await counted(`megagate_closed_total{reason="${FRAMING_FAULT}"}`, before);
    }
  });

  it("invalid UTF-8: cut", async () => {
    const before = await gateway.metric('megagate_closed_total{reason="protocol"}');
    const peer = await RawPeer.upgraded(gateway.port);
    await peer.untilEnd(frame(1, Buffer.from([0xc3, 0x28])));
    await counted('megagate_closed_total{reason="protocol"}', before);
  });

  it("an unmasked frame is read as if its first bytes were a mask (uWebSockets' exception), and harms nobody", async () => {
    const peer = await RawPeer.upgraded(gateway.port);
    peer.socket.write(frame(1, "hello, unmasked", { mask: false }));
    await new Promise((resolve) => setTimeout(resolve, 200));
    peer.socket.destroy();
  });

  it("answers every request that it does not understand", async () => {
    const client = await Client.open(gateway.url);
    const cases: [string | object, number][] = [
      ["hm", 4000],
      ["[1]", 4000],
      ["null", 4000],
      [{}, 4001],
      [{ reqtype: "Fly" }, 4001],
      [{ reqtype: "Subscribe" }, 4002],
      [{ reqtype: "Subscribe", topic: "a b" }, 4002],
      [{ reqtype: "Subscribe", topic: "x".repeat(129) }, 4002],
      [{ reqtype: "Unsubscribe", topic: "never" }, 4005],
    ];
    for (const [message, code] of cases) {
      client.messages.length = 0;
      client.send(message);
      assert.equal((await client.find(JSON.stringify(message), () => true)).code, code);
    }
    client.messages.length = 0;
    client.socket.send(Buffer.from("bytes"));
    assert.equal((await client.find("binary", () => true)).code, 4004);
    client.send({ reqtype: "Fly", id: 5 });
    assert.equal((await client.find("with id", (m) => m.id === 5)).reqtype, "Fly");
    await client.end();
  });

  it("too many topics: refused, those that it has go on", async () => {
    const client = await Client.open(`${gateway.url}?topics=a,b`);
    for (const topic of ["c", "d"]) client.send({ reqtype: "Subscribe", topic, id: topic });
    assert.equal((await client.find("third", (m) => m.id === "c")).code, 0);
    assert.equal((await client.find("fourth", (m) => m.id === "d")).code, 4003);
    client.send({ reqtype: "Subscribe", topic: "a", id: "again" });
    assert.equal((await client.find("again", (m) => m.id === "again")).code, 0);
    await client.end();
  });

  it("the wrong Host cannot be put into the address answer", async () => {
    const peer = await RawPeer.connect(gateway.port);
    const text = await peer.untilEnd('GET /bcall/url HTTP/1.1\r\nHost: x","evil":"\r\n\r\n');
    assert.match(text, /^HTTP\/1.1 400/);
    const good = await fetch(`http://127.0.0.1:${gateway.port}/bcall/url`);
    assert.deepEqual(await good.json(), { data: `ws://127.0.0.1:${gateway.port}/ws` });
    assert.equal(good.headers.get("access-control-allow-origin"), "*");
  });
});
