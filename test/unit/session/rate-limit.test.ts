import assert from "node:assert/strict";
import { it } from "node:test";
import { MessageRateLimit } from "../../../src/session/rate-limit.js";
import { FakeSocket } from "../../support/fake-socket.js";

const socket = (): FakeSocket => new FakeSocket(1000, { dropped: () => undefined, closed: () => undefined });

it("the message after the last that is allowed is one too many, for its own connection alone, until the next second", () => {
  const talkers = new MessageRateLimit(3);
  const loud = socket();
  assert.deepEqual(
    Array.from({ length: 5 }, () => talkers.exceeded(loud)),
    [false, false, false, true, true],
  );
  assert.equal(talkers.exceeded(socket()), false);
  talkers.tick();
  assert.equal(talkers.exceeded(loud), false);
});

it("no limit counts nobody", () => {
  const talkers = new MessageRateLimit(Infinity);
  const loud = socket();
  for (let i = 0; i < 1e5; i++) assert.equal(talkers.exceeded(loud), false);
});
