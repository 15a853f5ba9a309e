/**
 * Addresses of several lengths over a link on which a request of more than one TCP segment arrives in pieces: uWebSockets answers
 * 505 to a split request line (uNetworking/uWebSockets#1776), so the SDK keeps each of its addresses within one segment.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import WebSocket from "ws";
import { MegagateClient } from "../../src/client/client.js";
import { ANSWER_TO_CUT_LINE } from "../support/engine.js";
import { FarGateway, noLink } from "../support/shaped-link.js";
import { until } from "../support/wait.js";

const TOPICS = 16;

const REFUSED = "Unexpected server response: 505";

describe("over a real link", { skip: noLink() }, () => {
  let gateway: FarGateway;
  before(async () => {
    gateway = await FarGateway.start("--workers", "1");
  });
  after(() => gateway[Symbol.asyncDispose]());

  /** "open", or what the handshake met. */
  function dial(bytes: number): Promise<string> {
    return new Promise((resolve) => {
      const socket = new WebSocket(gateway.url(bytes));
      socket.once("open", () => {
        socket.terminate();
        resolve("open");
      });
      socket.once("error", ({ message }) => resolve(message));
    });
  }

  /** A client that follows sixteen topics of long names, and every address that it dialled. */
  function follow(bytes: number): { client: MegagateClient; dialled: string[]; heard: Set<string>; errors: string[] } {
    const dialled: string[] = [];
    class Recorded extends WebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols);
        dialled.push(url);
      }
    }
    const client = new MegagateClient({
      url: gateway.url(bytes),
      WebSocket: Recorded,
      baseMs: 50,
      capMs: 200,
    });
    const heard = new Set<string>();
    const errors: string[] = [];
    client.on("error", ({ error }) => errors.push(error));
    for (let n = 0; n < TOPICS; n++) {
      client.subscribe(`call-centre:${n}:agents-of-the-team-number-${n}`, {
        onPush: ({ data }) => heard.add(String(data)),
      });
    }
    return { client, dialled, heard, errors };
  }

  async function publishToAll(text: string): Promise<void> {
    const messages = Array.from({ length: TOPICS }, (_, n) => ({
      topic: `call-centre:${n}:agents-of-the-team-number-${n}`,
      data: `${text} ${n}`,
    }));
    const response = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(messages) });
    assert.equal(response.status, 200, await response.text());
  }

  it("an address of 1,100 or 1,200 bytes is upgraded; one of 1,500 is answered 505 by the engine of Node 20", async () => {
    assert.equal(await dial(1100), "open");
    assert.equal(await dial(1200), "open");
    // A gateway that is busy finds both segments at once, and sees no cut.
    const answers = new Set<string>();
    for (let tries = 0; tries < 20 && !answers.has(REFUSED); tries++) answers.add(await dial(1500));
    if (ANSWER_TO_CUT_LINE === 505) assert.ok(answers.has(REFUSED), [...answers].join());
    else assert.deepEqual([...answers], ["open"]);
  });

  for (const bytes of [100, 1100]) {
    it(`the SDK reconnects with its positions, from an address of ${bytes} bytes, and no address is too long`, async () => {
      const { client, dialled, heard, errors } = follow(bytes);
      await until(
        "open",
        () => client.state,
        (state) => state === "open",
      );
      await until(
        "subscribed",
        async () => {
          await publishToAll("first");
          return heard.size;
        },
        (size) => size === TOPICS,
      );
      assert.equal((await gateway.admin("/restart-workers", { method: "POST" })).status, 202);
      await until(
        "back",
        () => `${client.state} ${client.counts.connections}`,
        (seen) => seen === "open 2",
        30_000,
      );
      heard.clear();
      await publishToAll("second");
      await until(
        "every topic goes on",
        () => heard.size,
        (size) => size === TOPICS,
      );
      client.close();
      const state = async (): Promise<string> =>
        ((await (await gateway.admin("/restart-workers")).json()) as { state: string }).state;
      await until("the restart is over", state, (now) => now === "done", 30_000);
      assert.ok(
        dialled.length >= 2 && dialled.every(({ length }) => length <= 1200),
        dialled.map(({ length }) => length).join(),
      );
      if (bytes === 100) assert.ok(dialled.every((url) => url.includes("topics=")));
      assert.deepEqual(errors, []);
    });
  }

  // The newer engines take such an address.
  const taken = ANSWER_TO_CUT_LINE === "open" ? "this engine takes a request line in two pieces" : false;
  it("the SDK reports why an address of 1,500 bytes does not work, and keeps trying", { skip: taken }, async () => {
    const { client, dialled, errors } = follow(1500);
    await until(
      "three attempts",
      () => dialled.length,
      (n) => n >= 3,
    );
    assert.notEqual(client.state, "open");
    client.close();
    assert.match(errors[0] ?? "", /^the address has 1500 bytes: beyond 1200 .* 505$/);
  });
});
