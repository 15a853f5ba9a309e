/** The idle timeout behind a proxy, and the heartbeat that follows from it. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { advisedHeartbeatMs, withIdleTimeout } from "../../../src/config/idle.js";
import { SERVE_OPTIONS } from "../../../src/config/options.js";
import { resolve } from "../../../src/config/resolve.js";

const idleOf = (flags: object, env: NodeJS.ProcessEnv = {}): number =>
  withIdleTimeout(resolve(SERVE_OPTIONS, { flags: { ...flags }, env })).config.idleTimeoutSeconds;

it("is 60 s where a proxy is trusted, since proxies cut what is silent for 60 s, and else 120 s", () => {
  assert.equal(idleOf({}), 120);
  assert.equal(idleOf({ trustedProxies: "127.0.0.1" }), 60);
  assert.equal(idleOf({}, { MEGAGATE_TRUSTED_PROXIES: "10.0.0.0/8" }), 60);
});

it("is what the operator says, wherever it was said", () => {
  assert.equal(idleOf({ trustedProxies: "127.0.0.1", idleTimeoutSeconds: "120" }), 120);
  assert.equal(idleOf({ trustedProxies: "127.0.0.1" }, { MEGAGATE_IDLE_TIMEOUT_SECONDS: "0" }), 0);
});

it("a heartbeat is advised that costs less than the usual one, unless nothing else keeps a connection alive", () => {
  assert.deepEqual(
    [120, 60, 960, 32, 0].map((seconds) => advisedHeartbeatMs(seconds)),
    [100_000, 100_000, 100_000, 100_000, undefined],
  );
});
