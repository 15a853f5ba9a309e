/** The size of a gateway that is started with --dev. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { DEV_CONNECTIONS, DEV_WORKERS, withDevSize } from "../../../src/config/dev.js";
import { SERVE_OPTIONS } from "../../../src/config/options.js";
import { resolve } from "../../../src/config/resolve.js";

function sizeOf(flags: object, env: NodeJS.ProcessEnv = {}): [connections: number, workers: number] {
  const { config } = withDevSize(resolve(SERVE_OPTIONS, { flags: { ...flags }, env }));
  return [config.connections, config.workers];
}

it("--dev is small: a few clients and two workers, on a machine with any number of cores", () => {
  assert.deepEqual(sizeOf({ dev: true }), [DEV_CONNECTIONS, DEV_WORKERS]);
  assert.deepEqual(sizeOf({}, { MEGAGATE_DEV: "true" }), [DEV_CONNECTIONS, DEV_WORKERS]);
  assert.deepEqual(sizeOf({}), [1_000_000, 0], "without --dev nothing changes");
});

it("a size that was given, by a flag or a variable, is kept", () => {
  assert.deepEqual(sizeOf({ dev: true, connections: "50000" }), [50_000, 0]);
  assert.deepEqual(sizeOf({ dev: true, workers: "5" }), [DEV_CONNECTIONS, 5]);
  assert.deepEqual(sizeOf({ dev: true }, { MEGAGATE_CONNECTIONS: "7", MEGAGATE_WORKERS: "3" }), [7, 3]);
});
