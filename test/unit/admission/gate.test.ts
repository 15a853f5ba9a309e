import assert from "node:assert/strict";
import { it } from "node:test";
import { Gate } from "../../../src/admission/gate.js";

const BUSY = 0.97;
const IDLE = 0.2;

it("refuses nobody who can be answered in time: only when busy and beyond the wait", () => {
  const gate = new Gate(1000, 8, false);
  gate.tick(0, IDLE, 0);
  assert.ok(!gate.isCrowded(50_000), "not known to be busy yet");
  gate.tick(50_000, BUSY, 1000);
  assert.ok(!gate.isCrowded(8000), "8 s at 1,000 a second");
  assert.ok(gate.isCrowded(8001));
  gate.setShare(2000);
  assert.ok(!gate.isCrowded(8001));
  gate.tick(50_000, IDLE, 2000);
  assert.ok(!gate.isCrowded(50_000));
});

it("handshakes that their own clients hold up are not taken for a queue", () => {
  const gate = new Gate(1000, 1, false);
  gate.tick(5000, IDLE, 0);
  gate.tick(5500, BUSY, 1000);
  assert.equal(gate.waiting(5500), 500);
  assert.ok(!gate.isCrowded(5500));
  assert.ok(gate.isCrowded(6001));
  gate.tick(100, BUSY, 2000);
  gate.tick(1200, BUSY, 3000);
  assert.ok(gate.isCrowded(1201), "they are gone, and forgotten");
});

it("who has a ticket goes first, up to twice the bound", () => {
  const gate = new Gate(1000, 1, false);
  gate.tick(0, BUSY, 0);
  assert.ok(gate.isCrowded(1500) && !gate.isCrushed(1500));
  assert.ok(gate.isCrushed(2001));
});

it("a storm begins when half the bound waits or somebody is refused, and ends 5 s after", () => {
  const gate = new Gate(1000, 1, false);
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

it("a fixed rate takes one second's worth at once, and then what leaks away", async () => {
  const gate = new Gate(20, 8, true);
  for (let i = 0; i < 20; i++) {
    assert.ok(!gate.isCrowded(0), `${i} of 20`);
    gate.admitted();
  }
  assert.ok(gate.isCrowded(0));
  assert.ok(!gate.isCrushed(0));
  const deadline = performance.now() + 2000;
  while (gate.isCrowded(0) && performance.now() < deadline) await new Promise(setImmediate);
  assert.ok(!gate.isCrowded(0), "one more 50 ms later");
});
