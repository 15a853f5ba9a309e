/** Whether connections made here are tracked, by making some: sysctl/doctor/tracking.ts. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { isTracking } from "../../../../sysctl/doctor/tracking.js";
import { needsRoot } from "../../../support/needs.js";

const NO_NAMESPACE = needsRoot("to make a network namespace");
const at = (path: string): string => new URL(`../../../../${path}`, import.meta.url).href;

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

  it("sees the kernel's own count move once a rule tracks connections, and not before", {
    skip: NO_NAMESPACE,
  }, async () => {
    const program = `
      const { enterNewNamespace } = await import("${at("sysctl/prove/namespace.js")}");
      const { trackConnections } = await import("${at("sysctl/prove/tracking.js")}");
      const { isTracking } = await import("${at("sysctl/doctor/tracking.js")}");
      enterNewNamespace();
      const answers = [await isTracking()];
      trackConnections();
      answers.push(await isTracking(), await isTracking());
      console.log(answers.join(" "));`;
    const args = ["--input-type=module", "--eval", program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
    assert.equal(stdout.trim(), "false true true");
  });
});
