/** Hostile peers before a handshake: slow, silent, endless, malformed or pipelined. Good handshakes go on meanwhile. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { Client, frame, HANDSHAKE, RawPeer } from "../support/client.js";
import { ANSWER_TO_MANY_HEADERS } from "../support/engine.js";
import { closedFor, GatewayUnderAttack, refusedFor } from "../support/gateway-under-attack.js";
import { until } from "../support/wait.js";

const SILENT = 3000;
const TRICKLING = 1000;
/** uWebSockets gives a handshake 10 s, looked at every 4 s; the rest is for 4,000 of them on a busy machine. */
const GONE_MS = 25_000;

describe("hostile handshakes", () => {
  let attacked: GatewayUnderAttack;
  before(async () => {
    attacked = await GatewayUnderAttack.start("--idle-timeout-seconds", "32");
  });
  after(() => attacked.end());

  /** `n` connections, and how many of them are left. */
  async function crowd(n: number, first: string): Promise<{ sockets: Socket[]; left: () => number }> {
    let left = n;
    const sockets = Array.from({ length: n }, (_, i) => {
      const localAddress = `127.9.${i >> 8}.${1 + (i & 0x7f)}`;
      const socket = connect({ port: attacked.gateway.port, host: "127.0.0.1", localAddress });
      socket.on("error", () => undefined);
      socket.on("close", () => {
        left -= 1;
      });
      if (first !== "") socket.write(first);
      return socket.resume();
    });
    await until(
      "all connect",
      () => sockets.filter(({ readyState }) => readyState === "opening").length,
      (opening) => opening === 0,
      30_000,
    );
    return { sockets, left: () => left };
  }

  it(`${SILENT} silent connections and ${TRICKLING} that trickle their handshake: gone in time, honest ones get in`, async () => {
    await attacked.expectCounted(refusedFor("broken"), SILENT + TRICKLING, async () => {
      const silent = await crowd(SILENT, "");
      const trickling = await crowd(TRICKLING, "GET /ws HTTP/1.1\r\nHost: x\r\nX-A: ");
      const trickle = setInterval(() => {
        for (const socket of trickling.sockets) if (socket.writable) socket.write("a");
      }, 1000);
      const deadline = Date.now() + GONE_MS;
      let handshakes = 0;
      while (silent.left() + trickling.left() > 0 && Date.now() < deadline) {
        const client = await Client.open(attacked.gateway.url);
        handshakes += 1;
        await client.end();
      }
      clearInterval(trickle);
      assert.deepEqual([silent.left(), trickling.left()], [0, 0]);
      assert.ok(handshakes > 50, `only ${handshakes} honest handshakes`);
    });
    const inFlight = (): Promise<number> => attacked.gateway.metric("megagate_handshakes_in_flight");
    await until("none in flight", inFlight, (n) => n === 0);
  });

  it("a head without end: 431 as soon as it is too long", async () => {
    await attacked.expectCounted(refusedFor("broken"), 20, async () => {
      const endless = async (): Promise<string> => {
        const peer = await RawPeer.connect(attacked.gateway.port);
        peer.socket.write("GET /ws HTTP/1.1\r\nHost: x\r\n");
        const more = setInterval(() => peer.socket.write(`X: ${"y".repeat(500)}\r\n`), 5);
        const answer = await peer.untilEnd();
        clearInterval(more);
        return answer;
      };
      const answers = await Promise.all(Array.from({ length: 20 }, endless));
      for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 431 |^$/);
    });
  });

  it("two hundred headers: cut, and the newer binaries say why", async () => {
    const headers = Array.from({ length: 200 }, (_, i) => `X-${i}: a\r\n`).join("");
    await attacked.expectCounted(refusedFor("broken"), 1, async () => {
      const peer = await RawPeer.connect(attacked.gateway.port);
      assert.match(await peer.untilEnd(HANDSHAKE.replace("Host:", `${headers}Host:`)), ANSWER_TO_MANY_HEADERS);
    });
  });

  it("pipelined requests: each is answered and counted, their connection ends once", async () => {
    const request = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n";
    await attacked.expectCounted(refusedFor("not_found"), 50, async () => {
      const peer = await RawPeer.connect(attacked.gateway.port);
      const text = await peer.untilEnd(request.repeat(50));
      assert.equal(text.split("HTTP/1.1 404").length - 1, 50);
    });
    // And what is broken afterwards is still counted as that.
    await attacked.expectCounted(refusedFor("broken"), 1, async () => {
      const peer = await RawPeer.connect(attacked.gateway.port);
      await peer.untilEnd("NONSENSE\r\n\r\n");
    });
  });

  it("what follows a handshake before its answer is not read: no frame, no second handshake", async () => {
    for (const more of [frame(1, "ping"), Buffer.from(HANDSHAKE)]) {
      await attacked.expectCounted(closedFor("abnormal"), 1, async () => {
        const peer = await RawPeer.connect(attacked.gateway.port);
        peer.socket.write(Buffer.concat([Buffer.from(HANDSHAKE), more]));
        await until(
          "upgraded",
          () => peer.received,
          (text) => text.endsWith("\r\n\r\n"),
        );
        peer.socket.write(frame(1, "ping"));
        await until(
          "pong",
          () => peer.received,
          (text) => text.endsWith("\x04pong"),
        );
        assert.equal(peer.received.split("HTTP/1.1").length - 1, 1);
        assert.equal(peer.received.split("pong").length - 1, 1);
        peer.socket.destroy();
      });
    }
  });

  it("garbage of every length, all at once: answered or cut, and counted", async () => {
    const lengths = Array.from({ length: 200 }, (_, i) => 4 + i * 7);
    await attacked.expectCounted(refusedFor("broken"), 200, async () => {
      await Promise.all(
        lengths.map(async (length) => {
          const peer = await RawPeer.connect(attacked.gateway.port);
          await peer.untilEnd(`${"\u0001\u00ff\u0000G".repeat(length / 4 + 1)}\r\n\r\n`);
        }),
      );
    });
  });

  it("closed ones that keep their end open: their descriptors are free again after the idle timeout", async () => {
    const worker = (): number[] => pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length);
    const pids = (await attacked.gateway.processes()).filter(({ role }) => role === "worker").map(({ pid }) => pid);
    const sum = (counts: number[]): number => counts.reduce((a, b) => a + b, 0);
    const before = sum(worker());
    const peers = await Promise.all(Array.from({ length: 50 }, () => RawPeer.upgraded(attacked.gateway.port)));
    await attacked.expectCounted(closedFor("too_big"), 50, () => {
      for (const { socket } of peers) {
        socket.pause();
        socket.write(frame(1, "x".repeat(3000)));
      }
      return Promise.resolve();
    });
    await until(
      "all are free",
      () => sum(worker()),
      (held) => held <= before,
      25_000,
    );
    for (const { socket } of peers) socket.destroy();
  });
});
