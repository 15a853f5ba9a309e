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
    for (let offset = 1; offset <= 100; offset++) link.send({ type: "unwant", topic: `t${offset}` });
    const stopped = link.stop();
    const publication = encode({ type: "ask", id: 1, question: { read: true } });
    for (let i = 0; i < 20; i++) {
      hub.write(publication);
      await new Promise(setImmediate);
    }
    hub.on("data", (chunk: Buffer) => heard.push(...(reader.read(chunk) as Iterable<ToHub>)));
    hub.resume();
    await Promise.all([stopped, closed]);
    assert.equal(heard.length, 101);
    assert.deepEqual(heard.at(-1), { type: "unwant", topic: "t100" });
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
});
