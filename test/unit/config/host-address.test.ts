/** Addresses on which the gateway listens: which are taken, in which form they stand, and which take the same connections. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { portFaults } from "../../../src/config/faults.js";
import { CLIENT_URL } from "../../../src/config/gateway-address.js";
import {
  canonicalHost,
  isHostAddress,
  isLoopback,
  overlap,
  reachableHost,
  urlHost,
} from "../../../src/config/host-address.js";
import { SERVE_OPTIONS } from "../../../src/config/options.js";
import { resolve } from "../../../src/config/resolve.js";

it("--host takes IPv4 and IPv6 addresses, in one form each", () => {
  for (const [text, form] of [
    ["127.0.0.1", "127.0.0.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["::", "::"],
    ["0:0::0", "::"],
    ["::1", "::1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8::A", "2001:db8::a"],
  ] as const) {
    assert.equal(resolve(SERVE_OPTIONS, { flags: { host: text }, env: {} }).config.host, form, text);
  }
  for (const text of [
    "[::1]",
    "localhost",
    "::1%lo",
    "fe80::1%eth0",
    "::ffff:127.0.0.1",
    "::g",
    "1.2.3",
    "::1:8080:x",
    ":",
  ]) {
    assert.ok(!isHostAddress(text), text);
    assert.throws(() => resolve(SERVE_OPTIONS, { flags: { host: text }, env: {} }), /--host: must be an IPv4 or IPv6/);
  }
});

it("an IPv6 address stands in brackets in a URL, and every interface is reached by loopback", () => {
  assert.deepEqual(["127.0.0.1", "::1", "::"].map(urlHost), ["127.0.0.1", "[::1]", "[::]"]);
  assert.deepEqual(["0.0.0.0", "::", "::1", "10.0.0.1"].map(reachableHost), [
    "127.0.0.1",
    "127.0.0.1",
    "::1",
    "10.0.0.1",
  ]);
  assert.deepEqual(["127.9.9.9", "::1", "::", "0.0.0.0", "10.0.0.1"].map(isLoopback), [
    true,
    true,
    false,
    false,
    false,
  ]);
  assert.equal(canonicalHost("127.0.0.1"), "127.0.0.1");
  for (const [MEGAGATE_HOST, url] of [
    ["::1", "ws://[::1]:9000/ws"],
    ["0::1", "ws://[::1]:9000/ws"],
    ["::", "ws://127.0.0.1:9000/ws"],
    ["0.0.0.0", "ws://127.0.0.1:9000/ws"],
  ] as const) {
    assert.equal(CLIENT_URL.derive?.({ MEGAGATE_HOST, MEGAGATE_PORT: "9000" })?.value, url);
  }
});

it("two addresses overlap where one takes the connections of the other", () => {
  for (const [a, b, isSame] of [
    ["127.0.0.1", "127.0.0.1", true],
    ["127.0.0.1", "127.0.0.2", false],
    ["0.0.0.0", "127.0.0.1", true],
    ["0.0.0.0", "::1", false],
    ["::", "127.0.0.1", true],
    ["::", "0.0.0.0", true],
    ["::", "::1", true],
    ["::1", "127.0.0.1", false],
  ] as const) {
    assert.deepEqual([overlap(a, b), overlap(b, a)], [isSame, isSame], `${a} ${b}`);
  }
  assert.equal(
    portFaults({ host: "::", port: 8080, adminHost: "127.0.0.1", adminPort: 8080, adminKeysFile: "" }).length,
    1,
  );
  assert.equal(
    portFaults({ host: "::1", port: 8080, adminHost: "127.0.0.1", adminPort: 8080, adminKeysFile: "" }).length,
    0,
  );
});
