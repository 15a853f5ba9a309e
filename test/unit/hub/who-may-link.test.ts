/** Only workers of its own gateway may link to a hub: two gateways may share a run directory. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { Acceptor } from "../../../src/hub/acceptor.js";
import { encode, type Frame, FrameReader, type ToHub, WIRE_VERSION } from "../../../src/hub/wire.js";
import { follow, makeHub } from "../../support/hub.js";

it("a worker of another gateway is refused with the reason, and so is a link whose first frame is not hello", async () => {
  const dir = mkdtempSync(join(tmpdir(), "megagate-acceptor-"));
  const path = join(dir, "hub.sock");
  const hub = makeHub();
  const linked: number[] = [];
  const lines: string[] = [];
  const acceptor: Acceptor = new Acceptor(hub, {
    path,
    token: "mine",
    queueBytes: 1e6,
    addressLimit: 0,
    log: (_level, message) => void lines.push(message),
    onCounters: () => assert.fail("counted"),
    onLinked: (worker) => void linked.push(worker),
    onLeft: () => undefined,
    onRelinked: () => undefined,
    onWaiting: () => void setImmediate(() => acceptor.release()),
  });
  await acceptor.listen();
  const answersTo = (...frames: ToHub[]): Promise<Frame[]> =>
    new Promise((resolve) => {
      const reader = new FrameReader();
      const received: Frame[] = [];
      const socket = connect(path);
      socket.on("data", (chunk: Buffer) => {
        received.push(...reader.read(chunk));
        if (received[0]?.type === "welcome") socket.end();
      });
      socket.on("close", () => resolve(received));
      socket.write(Buffer.concat(frames.map(encode)));
    });
  const hello = { type: "hello", version: WIRE_VERSION, worker: 3, pid: 7 } as const;
  try {
    assert.equal(statSync(path).mode & 0o777, 0o600, "nobody else may connect");
    const [foreign] = await answersTo({ ...hello, token: "other" }, follow("t"));
    assert.deepEqual(foreign, { type: "refused", reason: "process 7 is a worker of another gateway" });
    const counters = { type: "counters", values: new Float64Array(3) } as const;
    const [silent] = await answersTo(counters, { ...hello, token: "mine" });
    assert.deepEqual(silent, { type: "refused", reason: "the first frame is counters, not hello" });
    assert.deepEqual(linked, []);
    assert.equal(lines.filter((line) => /give each gateway a --run-dir of its own/.test(line)).length, 2);
    assert.equal(hub.topics, 0);
    assert.equal((await answersTo({ ...hello, token: "mine" }))[0]?.type, "welcome");
    assert.deepEqual(linked, [3]);
  } finally {
    acceptor.close();
    rmSync(dir, { recursive: true });
  }
});
