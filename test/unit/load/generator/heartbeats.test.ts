/** Heartbeats: the same number from each connection, spread over the hold, and none twice before its answer. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Heartbeats } from "../../../../load/generator/heartbeats.js";
import { until } from "../../../support/wait.js";

/** Descriptors 3 to 12 are open; `answers` false leaves every heartbeat unanswered. */
function fakes({ answers = true } = {}) {
  const sentBy = new Map<number, number>();
  const waiting = new Set<number>();
  const ticks: number[] = [];
  const connections = {
    top: 13,
    heartbeat: (fd: number): boolean => {
      if (fd < 3 || waiting.has(fd)) return false;
      sentBy.set(fd, (sentBy.get(fd) ?? 0) + 1);
      waiting.add(fd);
      return true;
    },
  };
  const heartbeats: Heartbeats = new Heartbeats(connections, () => {
    ticks.push(heartbeats.sent);
    if (!answers) return;
    heartbeats.answered += waiting.size;
    waiting.clear();
  });
  return { heartbeats, sentBy, ticks };
}

describe("heartbeats", () => {
  it("are the same number for each open connection, spread over the time", async () => {
    const { heartbeats, sentBy, ticks } = fakes();
    heartbeats.begin(3, 400, 10);
    await until("all are answered", () => heartbeats.complete, Boolean);
    assert.equal(heartbeats.sent, 30);
    assert.deepEqual(
      [...sentBy].sort(([a], [b]) => a - b),
      Array.from({ length: 10 }, (_, i) => [i + 3, 3]),
    );
    const half = ticks.findIndex((sent) => sent >= 15);
    assert.ok(half > 1 && half < ticks.length - 1, `not in one burst: ${ticks.join(" ")}`);
    await until(
      "the timer has stopped",
      () => heartbeats.expecting,
      (expecting) => !expecting,
    );
  });

  it("are not sent again by a connection whose last one is unanswered", async () => {
    const { heartbeats, sentBy, ticks } = fakes({ answers: false });
    heartbeats.begin(5, 80, 10);
    await until(
      "the time is over",
      () => ticks.length,
      (n) => n > 5,
    );
    heartbeats.stop();
    assert.equal(heartbeats.sent, 10);
    assert.ok([...sentBy.values()].every((n) => n === 1));
    assert.ok(!heartbeats.complete);
  });

  it("of a second begin come on top of those of the first", async () => {
    const { heartbeats } = fakes();
    heartbeats.begin(1, 40, 10);
    await until("the first are answered", () => heartbeats.complete, Boolean);
    heartbeats.begin(2, 40, 10);
    assert.ok(!heartbeats.complete);
    await until("the second are answered", () => heartbeats.complete, Boolean);
    assert.deepEqual([heartbeats.sent, heartbeats.answered], [30, 30]);
    heartbeats.stop();
  });
});
