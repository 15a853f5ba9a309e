import assert from "node:assert/strict";
import { it } from "node:test";
import { HUB_METRICS, METRICS, SLOT, SLOT_NAMES, type SlotName } from "../../../src/metrics/catalog.js";
import { createRegistry, type HubSamples } from "../../../src/metrics/exposition.js";
import { Fleet } from "../../../src/metrics/fleet.js";

function values(set: Partial<Record<SlotName, number>>): Float64Array {
  const array = new Float64Array(SLOT_NAMES.length);
  for (const [name, value] of Object.entries(set)) array[SLOT[name as SlotName]] = value;
  return array;
}

it("adds up workers, takes the greatest delay, and keeps the counters of dead workers", () => {
  const fleet = new Fleet();
  fleet.joined(0, 100);
  fleet.joined(1, 101);
  fleet.update(0, values({ connections: 5, accepted: 9, loopLagMax: 0.2 }));
  fleet.update(1, values({ connections: 7, accepted: 7, loopLagMax: 0.1 }));
  assert.equal(fleet.total("connections"), 12);
  assert.equal(fleet.total("loopLagMax"), 0.2);
  fleet.gone(0, 999);
  assert.equal(fleet.total("connections"), 12, "another process's death is not this worker's");
  fleet.gone(0, 100);
  assert.equal(fleet.total("connections"), 7);
  assert.equal(fleet.total("accepted"), 16);
  assert.equal(fleet.total("closed_worker_lost"), 5);
  fleet.joined(0, 102);
  fleet.update(0, values({ connections: 1, accepted: 1 }));
  assert.equal(fleet.total("accepted"), 17);
});

it("the same process on a new link goes on counting; a successor that links first replaces the dead worker", () => {
  const fleet = new Fleet();
  fleet.joined(0, 1);
  fleet.update(0, values({ accepted: 4, connections: 4 }));
  fleet.joined(0, 1);
  assert.equal(fleet.total("accepted"), 4);
  fleet.joined(0, 2);
  assert.equal(fleet.total("accepted"), 4);
  assert.equal(fleet.total("closed_worker_lost"), 4);
  fleet.gone(0, 1);
  assert.equal(fleet.size, 1, "the predecessor's death, when it becomes known late, does not end the successor");
});

it("ignores counters of another build's shape", () => {
  const fleet = new Fleet();
  fleet.joined(0, 1);
  fleet.update(0, new Float64Array(3));
  assert.equal(fleet.total("connections"), 0);
});

it("the scrape has every metric of the catalogue, and not the one that lists descriptors", async () => {
  const zero = Object.fromEntries(Object.keys(HUB_METRICS).map((key) => [key, () => []])) as unknown as HubSamples;
  const registry = createRegistry(new Fleet(), { ...zero, topics: () => 3 });
  const text = await registry.metrics();
  for (const name of METRICS.keys()) assert.match(text, new RegExp(`^# TYPE ${name} `, "m"));
  assert.match(text, /^megagate_topics 3$/m);
  assert.doesNotMatch(text, /process_open_fds/);
  assert.equal(await registry.metrics().then((again) => /^megagate_topics (\d+)$/m.exec(again)?.[1]), "3");
});
