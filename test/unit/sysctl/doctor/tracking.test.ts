/** Whether connections made here are tracked, by making some: sysctl/doctor/tracking.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isTracking } from "../../../../sysctl/doctor/tracking.js";

describe("the tracking probe", () => {
  it("says no where the count stays, be it zero or not", async () => {
    assert.equal(await isTracking(() => 0), false);
    assert.equal(await isTracking(() => 1873), false);
  });

  it("says no where there is no count: the module is not loaded", async () => {
    assert.equal(await isTracking(() => undefined), false);
  });

  it("says yes where each connection adds an entry, some old ones expiring meanwhile", async () => {
    const readings = [1873, 1873 + 64 - 20];
    assert.equal(await isTracking(() => readings.shift()), true);
  });

  it("does not take the comings and goings of others for its own", async () => {
    const readings = [1873, 1880];
    assert.equal(await isTracking(() => readings.shift()), false);
  });
});
