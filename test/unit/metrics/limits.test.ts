/** Ceilings, headroom and events, as the scrape shows them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LimitGauges } from "../../../src/metrics/limits.js";

const shown = (samples: ReturnType<LimitGauges["ceilings"]>): Record<string, number> =>
  Object.fromEntries(samples.map(({ labels, value }) => [labels?.limit ?? "", value] as const));

describe("limits", () => {
  it("has only the workers' caps before the supervisor has reported", () => {
    const limits = new LimitGauges(200);
    assert.deepEqual(shown(limits.ceilings()), { "worker-caps": 200 });
    assert.deepEqual(limits.events(), []);
  });

  it("subtracts the present connections, and is 0 if a ceiling is reached or exceeded", () => {
    const limits = new LimitGauges(200);
    limits.update({ ceilings: { memory: 5000, conntrack: 150 }, limitEvents: { conntrack: 3, cpu: 0 } });
    assert.deepEqual(shown(limits.headroom(0)), { "worker-caps": 200, memory: 5000, conntrack: 150 });
    assert.deepEqual(shown(limits.headroom(200)), { "worker-caps": 0, memory: 4800, conntrack: 0 });
    for (const { value } of limits.headroom(200)) assert.ok(Object.is(value, Math.abs(value)), "no negative zero");
    assert.deepEqual(shown(limits.events()), { conntrack: 3, cpu: 0 });
  });
});
