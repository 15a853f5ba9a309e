/** The limit of messages from one connection in one second. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { MessageRateLimit } from "../../../src/session/rate-limit.js";
import { FakeSocket } from "../../support/fake-socket.js";

const socket = (): FakeSocket => new FakeSocket(1000, { dropped: () => undefined, closed: () => undefined });

it("messages beyond the limit exceed it, for their own connection alone, until the next second", () => {
  const limit = new MessageRateLimit(3);
  const busy = socket();
  assert.deepEqual(
    Array.from({ length: 5 }, () => limit.exceeded(busy)),
    [false, false, false, true, true],
  );
  assert.equal(limit.exceeded(socket()), false);
  limit.tick();
  assert.equal(limit.exceeded(busy), false);
});

it("Infinity sets no limit", () => {
  const limit = new MessageRateLimit(Infinity);
  const busy = socket();
  for (let i = 0; i < 1e5; i++) assert.equal(limit.exceeded(busy), false);
});
