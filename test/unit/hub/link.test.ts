/** The worker's end of its link: what it says last arrives, also at a hub that writes to it all the while. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { Link } from "../../../src/hub/link.js";
import { encode, FrameReader, type ToHub } from "../../../src/hub/wire.js";

it("hands over its last words before it ends, though publications are on their way to it", async () => {
  const dir = mkdtempSync(join(tmpdir(), "megagate-link-"));
  const server = createServer();
  server.listen(join(dir, "hub.sock"));
  await once(server, "listening");
  const link = new Link({
    path: join(dir, "hub.sock"),
    token: "t",
    worker: 3,
    onLost: () => assert.fail("it ended by itself"),
    onFrame: () => undefined,
    log: () => undefined,
  });
  const [hub] = (await once(server, "connection")) as [Socket];
  const heard: ToHub[] = [];
  const reader = new FrameReader();
  const closed = once(hub, "close");
  hub.on("error", () => undefined);
  try {
    // Busy with other things, and reads later.
    hub.pause();
    await once(hub.resume(), "data").then(([chunk]) =>
      heard.push(...(reader.read(chunk as Buffer) as Iterable<ToHub>)),
    );
    hub.pause();
    for (let offset = 1; offset <= 100; offset++) link.send({ type: "unfollow", topic: `t${offset}` });
    const stopped = link.stop();
    const publication = encode({ type: "ask", id: 1, question: { slowest: 1 } });
    for (let i = 0; i < 20; i++) {
      hub.write(publication);
      await new Promise(setImmediate);
    }
    hub.on("data", (chunk: Buffer) => heard.push(...(reader.read(chunk) as Iterable<ToHub>)));
    hub.resume();
    await Promise.all([stopped, closed]);
    assert.equal(heard.length, 101);
    assert.deepEqual(heard.at(-1), { type: "unfollow", topic: "t100" });
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
});

it("rule 8: takes at most a few frames in a turn of the loop, those too that come to no publication: one that resets publishes", async () => {
  const dir = mkdtempSync(join(tmpdir(), "megagate-link-"));
  const server = createServer();
  server.listen(join(dir, "hub.sock"));
  await once(server, "listening");
  let turn = 0;
  const perTurn = new Map<number, number>();
  let taken = 0;
  const link = new Link({
    path: join(dir, "hub.sock"),
    token: "t",
    worker: 3,
    onLost: () => undefined,
    onFrame: (frame) => {
      taken += 1;
      perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
      // As an answer that resets a topic: it publishes, and yields no step.
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
    while (taken < 2000) {
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
