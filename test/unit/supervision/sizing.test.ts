/** How many workers a gateway starts, by what the machine lets it use: src/supervision/sizing.ts. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { SERVE_OPTIONS } from "../../../src/config/options.js";
import { resolve } from "../../../src/config/resolve.js";
import { sizeGateway } from "../../../src/supervision/sizing.js";

const { config } = resolve(SERVE_OPTIONS, { flags: { connections: "100" }, env: {} });
const workersOn = async (cpus: number): Promise<number> =>
  (await sizeGateway(config, { cpus, memoryBytes: 8e9 })).workers;

it("one worker a core that the CPU quota leaves, and one for a part of a core", async () => {
  assert.deepEqual(
    [await workersOn(64), await workersOn(2), await workersOn(1.5), await workersOn(0.1)],
    [64, 2, 2, 1],
  );
});
