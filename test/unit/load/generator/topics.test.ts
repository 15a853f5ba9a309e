import assert from "node:assert/strict";
import { it } from "node:test";
import { KeyPool, UpgradeRequest } from "../../../../load/generator/handshake.js";
import { TopicPattern } from "../../../../load/generator/topics.js";

it("there is one topic for all, or one for each connection, all of the same length", () => {
  const shared = new TopicPattern("load", 5);
  assert.deepEqual(
    [shared.isOwn, shared.of(3), shared.query()],
    [false, "load", { text: "?topics=load", numberAt: -1 }],
  );
  const own = new TopicPattern("user:{n}", 1000);
  assert.deepEqual([own.isOwn, own.of(7), own.of(999)], [true, "user:007", "user:999"]);
  const { text, numberAt } = own.query();
  assert.equal(text, "?topics=user%3A000");
  assert.equal(text.slice(numberAt), "000");
});

it("the request of a connection names its own topic", () => {
  const topics = new TopicPattern("u:{n}:x", 20);
  const { text, numberAt } = topics.query();
  const request = new UpgradeRequest("h", `/ws${text}`, 3 + numberAt);
  const pool = new KeyPool(1);
  for (const n of [19, 4]) {
    request.setNumber(topics.padded(n));
    assert.match(
      request.withKey(pool, 0).toString("latin1"),
      new RegExp(`^GET /ws\\?topics=u%3A${topics.padded(n)}%3Ax HTTP`),
    );
  }
});
