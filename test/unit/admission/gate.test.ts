/** Which handshakes one worker refuses: only those that would wait too long while it is busy. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { Gate } from "../../../src/admission/gate.js";

const BUSY = 0.97;
const IDLE = 0.2;

it("refuses only when the worker is busy and the last handshake would wait too long", () => {
  const gate = new Gate({ share: 1000, waitSeconds: 8, isFixed: false });
  gate.tick(0, IDLE, 0);
  assert.ok(!gate.isOverLimit(50_000), "not known to be busy yet");
  gate.tick(50_000, BUSY, 1000);
  assert.ok(!gate.isOverLimit(8000), "8 s at 1,000 a second");
  assert.ok(gate.isOverLimit(8001));
  gate.setShare(2000);
  assert.ok(!gate.isOverLimit(8001));
  gate.tick(50_000, IDLE, 2000);
  assert.ok(!gate.isOverLimit(50_000));
});

it("handshakes that wait for their own slow clients are not counted as waiting", () => {
  const gate = new Gate({ share: 1000, waitSeconds: 1, isFixed: false });
  gate.tick(5000, IDLE, 0);
  gate.tick(5500, BUSY, 1000);
  assert.equal(gate.waiting(5500), 500);
  assert.ok(!gate.isOverLimit(5500));
  assert.ok(gate.isOverLimit(6001));
  gate.tick(100, BUSY, 2000);
  gate.tick(1200, BUSY, 3000);
  assert.ok(gate.isOverLimit(1201), "the slow ones are gone and no longer subtracted");
});

it("a valid ticket is admitted up to twice the limit", () => {
  const gate = new Gate({ share: 1000, waitSeconds: 1, isFixed: false });
  gate.tick(0, BUSY, 0);
  assert.ok(gate.isOverLimit(1500) && !gate.isOverTicketLimit(1500));
  assert.ok(gate.isOverTicketLimit(2001));
});

it("a storm begins when half the limit waits or a handshake is refused, and ends 5 s after the last sign", () => {
  const gate = new Gate({ share: 1000, waitSeconds: 1, isFixed: false });
  gate.tick(400, BUSY, 1000);
  assert.ok(!gate.isStorm(1000));
  gate.tick(600, BUSY, 2000);
  assert.ok(gate.isStorm(7000) && !gate.isStorm(7001));
  gate.refused(10_000);
  gate.refused(10_000);
  assert.equal(gate.expected(0), 2);
  assert.ok(gate.isStorm(15_000));
  gate.tick(0, IDLE, 15_001);
  assert.equal(gate.expected(0), 0);
});

it("a fixed rate admits one second's worth at once, and then as many as leak away", async () => {
  const gate = new Gate({ share: 20, waitSeconds: 8, isFixed: true });
  for (let i = 0; i < 20; i++) {
    assert.ok(!gate.isOverLimit(0), `${i} of 20`);
    gate.admitted();
  }
  assert.ok(gate.isOverLimit(0));
  assert.ok(!gate.isOverTicketLimit(0));
  const deadline = performance.now() + 2000;
  while (gate.isOverLimit(0) && performance.now() < deadline) await new Promise(setImmediate);
  assert.ok(!gate.isOverLimit(0), "one more 50 ms later");
});
