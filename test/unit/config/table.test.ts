import assert from "node:assert/strict";
import { it } from "node:test";
import { SERVE_OPTIONS } from "../../../src/config/options.js";
import { resolve } from "../../../src/config/resolve.js";
import { bytes, choice, envName, flag, flagName, parseBytes, text, whole } from "../../../src/config/table.js";
import { GatewayError } from "../../../src/errors.js";

const table = {
  count: whole({ default: 1, min: 1, max: 1000, also: [0], unit: "things", explanation: "" }),
  size: bytes({ default: 10, min: 10, max: 10_000, explanation: "" }),
  word: text({ default: "", unit: "word", range: "letters", pattern: /^[a-z]+$/, explanation: "" }),
  kind: choice({ default: "a", choices: ["a", "b"], explanation: "" }),
  on: flag({ default: false, explanation: "" }),
};

const given = (flags: Record<string, unknown>) => resolve(table, { flags, env: {} });

it("text from a flag becomes the option's own type", () => {
  const { config } = given({ count: "1_000", size: "2KB", word: "abc", kind: "b", on: true });
  assert.deepEqual(config, { count: 1000, size: 2000, word: "abc", kind: "b", on: true });
  assert.equal(given({ count: "1,000" }).config.count, 1000);
  assert.ok(Object.is(given({ count: "-0" }).config.count, 0));
  assert.equal(given({ on: "false" }).config.on, false);
});

it("every fault is told, none is repaired quietly", () => {
  const flags = { count: "1e3", size: "3", word: "A", kind: "c", on: "maybe" };
  assert.throws(
    () => given(flags),
    (error: unknown) => {
      assert.ok(error instanceof GatewayError);
      assert.equal(error.detail.split("\n").length, 5, error.detail);
      return true;
    },
  );
  for (const bad of [
    "",
    "1.5",
    "-1",
    "1001",
    "x",
    "NaN",
    "Infinity",
    "1,5",
    "10,00",
    "1,",
    ",1",
    "1,0000",
    "1__0",
    "_1",
  ])
    assert.throws(() => given({ count: bad }), bad);
});

it("sizes understand decimal and binary units", () => {
  assert.equal(parseBytes("16KiB"), 16_384);
  assert.equal(parseBytes("1.5 GB"), 1_500_000_000);
  assert.equal(parseBytes("7"), 7);
  assert.equal(parseBytes("1,000"), 1000);
  for (const bad of ["", "B", "1X", "KB", "1 2", "-1K", "1,5GB", "0.5", "1.0"])
    assert.equal(parseBytes(bad), undefined, bad);
});

it("one key gives flag and environment name", () => {
  assert.equal(flagName("idleTimeoutSeconds"), "idle-timeout-seconds");
  assert.equal(envName("idleTimeoutSeconds"), "MEGAGATE_IDLE_TIMEOUT_SECONDS");
});

it("every default of serve passes its own check", () => {
  for (const [key, option] of Object.entries(SERVE_OPTIONS)) {
    assert.ok(option.schema.safeParse(option.default).success, key);
  }
});
