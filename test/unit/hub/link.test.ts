/** The worker's end of its link: its last frames arrive, even at a hub that keeps writing to it; few frames are handled in a turn. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { Link } from "../../../src/hub/link.js";
import { encode, FrameReader, type ToHub } from "../../../src/hub/wire.js";

it("delivers its last frames before it closes, although the hub keeps writing", async () => {
  const dir = mkdtempSync(join(tmpdir(), "megagate-link-"));
  const server = createServer();
  server.listen(join(dir, "hub.sock"));
  await once(server, "listening");
  const link = new Link({
    path: join(dir, "hub.sock"),
    token: "t",
    worker: 3,
    onLost: () => assert.fail("the link broke"),
    onFrame: () => undefined,
    log: () => undefined,
  });
  const [hub] = (await once(server, "connection")) as [Socket];
  const received: ToHub[] = [];
  const reader = new FrameReader();
  const closed = once(hub, "close");
  hub.on("error", () => undefined);
  try {
    // The hub is busy, and reads later.
    hub.pause();
    await once(hub.resume(), "data").then(([chunk]) =>
      received.push(...(reader.read(chunk as Buffer) as Iterable<ToHub>)),
    );
    hub.pause();
    for (let offset = 1; offset <= 100; offset++) link.send({ type: "unfollow", topic: `t${offset}` });
    const stopped = link.stop();
    const publication = encode({ type: "ask", id: 1, question: { slowest: 1 } });
    for (let i = 0; i < 20; i++) {
      hub.write(publication);
      await new Promise(setImmediate);
    }
    hub.on("data", (chunk: Buffer) => received.push(...(reader.read(chunk) as Iterable<ToHub>)));
    hub.resume();
    await Promise.all([stopped, closed]);
    assert.equal(received.length, 101);
    assert.deepEqual(received.at(-1), { type: "unfollow", topic: "t100" });
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
});

it("rule 8: handles only a few frames in a turn of the loop, also those without a step: a topicSync that resets publishes too", async () => {
  const dir = mkdtempSync(join(tmpdir(), "megagate-link-"));
  const server = createServer();
  server.listen(join(dir, "hub.sock"));
  await once(server, "listening");
  let turn = 0;
  const perTurn = new Map<number, number>();
  let handled = 0;
  const link = new Link({
    path: join(dir, "hub.sock"),
    token: "t",
    worker: 3,
    onLost: () => undefined,
    onFrame: (frame) => {
      handled += 1;
      perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
      // Like an answer that resets a topic: it publishes, and yields no step.
      return frame.type === "topicSync" ? [] : undefined;
    },
    log: () => undefined,
  });
  try {
    const [hub] = (await once(server, "connection")) as [Socket];
    hub.on("error", () => undefined);
    hub.resume();
    const sync = { type: "topicSync", topic: "t", request: 1, epoch: "e", offset: 1, history: [], state: [] } as const;
    const frames = Buffer.concat(Array.from({ length: 2000 }, () => encode(sync)));
    hub.write(frames);
    while (handled < 2000) {
      await new Promise(setImmediate);
      turn += 1;
    }
    assert.ok(Math.max(...perTurn.values()) <= 32, `${Math.max(...perTurn.values())} in one turn`);
  } finally {
    await link.stop();
    server.close();
    rmSync(dir, { recursive: true });
  }
});
