/** The arithmetic of slow readers against what sessions and parking do with the fake socket's full buffer. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { slowReaderCost } from "../../../src/config/slow-cost.js";
import { ClientModel } from "../../support/client-model.js";
import { config, FakeWorker, rules } from "../../support/fake-worker.js";
import { makeHub } from "../../support/hub.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const maxPublicationBytes = 12_288;

it("grows with the limit, the greatest publication and the topics, and never below what is corked", () => {
  const usual = slowReaderCost({ maxBackpressureBytes: 32_768, maxPublicationBytes });
  assert.deepEqual(usual, { waiting: 46_336, user: 93_422, kernel: 29_000 });
  const two = slowReaderCost({ maxBackpressureBytes: 32_768, maxPublicationBytes }, 2);
  assert.ok(two.user > usual.user && two.waiting === usual.waiting);
  const small = slowReaderCost({ maxBackpressureBytes: 1024, maxPublicationBytes: 64 });
  assert.ok(small.waiting > 16_384 && small.waiting < 20_000, JSON.stringify(small));
});

for (const bytes of [100, 1000, 5000, 8000, maxPublicationBytes - 2]) {
  it(`no more waits for a reader that stopped than it says: pushes of ${bytes} bytes`, async () => {
    const stage = { hub: makeHub({ rules }) };
    const worker = new FakeWorker(stage, 0);
    const client = new ClientModel();
    worker.connect(client, true);
    worker.step(1000);
    const { waiting } = slowReaderCost({ ...config, maxPublicationBytes });
    const key = "𝄞".repeat(256);
    for (let sent = 0; sent < 4 * config.maxBackpressureBytes; sent += bytes) {
      stage.hub.publish({ topic: "d:1", data: JSON.stringify("x".repeat(bytes)), key });
      if (sent % 3 === 0) worker.step(1000);
      await turn();
    }
    const { max } = client.socket!;
    assert.ok(max > config.maxBackpressureBytes && max <= waiting, `${max} of ${waiting}`);
  });
}
