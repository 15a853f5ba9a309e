/** The plan of a drain and of a rolling restart, from connections and rates. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DrainFacts, planDrain } from "../../../src/drain/plan.js";

const facts = (given: Partial<DrainFacts> = {}): DrainFacts => ({
  connections: 1_000_000,
  workers: Array.from({ length: 50 }, () => 20_000),
  cap: 30_000,
  returnPerSecond: 10_000,
  goodbyePerSecond: 35_000,
  stopSeconds: 60,
  stopNoticeSeconds: 0,
  ...given,
});

describe("the plan of a drain", () => {
  it("sends goodbyes at the rate at which clients can reconnect, and needs a window that holds them", () => {
    const { drain } = planDrain(facts(), 200);
    assert.deepEqual([drain.telling, drain.window, drain.lastBack, drain.needs], [100, 100, 200, 129]);
  });

  it("sends goodbyes faster where the window is shorter, but not faster than the workers can", () => {
    assert.equal(planDrain(facts(), 60).drain.telling, 48);
    assert.equal(Math.round(planDrain(facts(), 10).drain.telling), 29);
  });

  it("includes the notice", () => {
    const { drain } = planDrain(facts({ stopNoticeSeconds: 15 }), 200);
    assert.deepEqual([drain.notice, drain.gone, drain.lastBack], [15, 119, 215]);
  });
});

describe("the plan of a rolling restart", () => {
  it("counts clients that reconnect to a worker that is still to be replaced", () => {
    const { rolling } = planDrain(facts({ cap: 1_000_000 }), 200);
    assert.ok(rolling.closes > 1.6e6 && rolling.closes < 1.75e6, String(rolling.closes));
    // The last worker would hold e times the mean (src/README.md fact 2).
    assert.ok(rolling.fullest > 52_000 && rolling.fullest < 55_000, String(rolling.fullest));
    assert.ok(rolling.seconds > 2 * (rolling.closes / 10_000));
  });

  it("lets no worker go above its cap", () => {
    assert.equal(planDrain(facts(), 200).rolling.fullest, 30_000);
  });

  it("of an idle gateway is the time that its processes take", () => {
    const idle = planDrain(facts({ connections: 0, workers: [0, 0] }), 60);
    assert.deepEqual([idle.rolling.closes, idle.rolling.seconds, idle.drain.needs], [0, 6, 4]);
  });
});
