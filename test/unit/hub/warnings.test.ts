import assert from "node:assert/strict";
import { it } from "node:test";
import { HubWarnings } from "../../../src/hub/warnings.js";
import { FakePeer, follow, makeHub } from "../../support/hub.js";

it("logs once a minute what fills the memory of topics, and each false claim at once", () => {
  const hub = makeHub({ memoryBytes: 6000 });
  const peer = new FakePeer();
  const lines: string[] = [];
  const warnings = new HubWarnings(hub, (level, message) => void lines.push(`${level} ${message.split(/[:;]/)[0]}`));
  warnings.sample(0);
  assert.deepEqual(lines, []);
  hub.follow(peer, follow("t"));
  const fill = (): void => {
    for (let n = 0; n < 100; n++) hub.publish({ topic: "t", data: JSON.stringify("x".repeat(3000)) });
  };
  fill();
  warnings.sample(1000);
  fill();
  warnings.sample(2000);
  assert.deepEqual(lines, ["warn followed topics fill --topic-memory-bytes"]);
  warnings.sample(62_000);
  warnings.sample(200_000);
  assert.equal(lines.length, 2, "what happened in the meantime is logged later, and nothing twice");
  for (let n = 0; n < 100; n++) hub.follow(peer, follow(`name:${n}`));
  warnings.sample(300_000);
  assert.match(lines[2]!, /subscriptions to names that nobody has published to are refused/);
  const { epoch, offset } = hub.publish({ topic: "t", data: "1" });
  hub.follow(peer, follow("t", 2, { epoch, offset: offset + 1 }));
  warnings.sample(300_001);
  assert.match(lines[3]!, /^error a worker claimed/);
});
