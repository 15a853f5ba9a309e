/** The answer of GET /bcall/url: from a trusted proxy's headers, --public-url, or the Host header. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { publicAddress } from "../../../src/socket/public-address.js";

const forwarded = (change: object) => ({ proto: "", host: "", prefix: "", ...change });

describe("the address of the WebSocket", () => {
  for (const host of [
    "gateway:8080",
    "my_gateway:8080",
    "mega_gate",
    "_a._b.example",
    "xn--bcher-kva.example.",
    "a~b",
    "127.0.0.1:1",
    "[2001:db8::1]:65535",
    "host:",
  ]) {
    it(`has the host name that the client used: ${host}`, () =>
      assert.equal(publicAddress({ host, forwarded: undefined }, ""), `ws://${host}/ws`));
  }

  for (const host of [
    "",
    'a/b"c',
    'x","evil":"',
    "a b",
    "user@host",
    "host:99999",
    "host:x",
    "[::1",
    "a?b",
    "a#b",
    "ä",
  ]) {
    it(`is refused for a Host header that is not a host: ${host || "(empty)"}`, () =>
      assert.throws(() => publicAddress({ host, forwarded: undefined }, ""), /the Host header is no host name/));
  }

  it("is --public-url where it is given, whatever the Host header", () => {
    assert.equal(publicAddress({ host: "a/b", forwarded: undefined }, "wss://x.example/ws"), "wss://x.example/ws");
  });

  it("behind a trusted proxy has the scheme, name and prefix that the client sees", () => {
    const at = (change: object, publicUrl = ""): string =>
      publicAddress({ host: "10.0.0.1:8080", forwarded: forwarded(change) }, publicUrl);
    assert.equal(at({}), "ws://10.0.0.1:8080/ws");
    assert.equal(at({ proto: "https" }), "wss://10.0.0.1:8080/ws");
    assert.equal(at({ proto: "HTTPS, http", host: "push.example, inner" }), "wss://push.example/ws");
    assert.equal(at({ proto: "http", host: "push.example:8443", prefix: "/gate/" }), "ws://push.example:8443/gate/ws");
    assert.equal(at({ proto: "wss", host: "p.example", prefix: "/" }), "wss://p.example/ws");
    assert.equal(at({ proto: "https", host: "p.example" }, "wss://x.example/ws"), "wss://p.example/ws");
    assert.equal(at({ proto: "https" }, "wss://x.example/ws"), "wss://x.example/ws", "the proxy gave no name");
    assert.throws(() => at({ proto: "gopher" }), /X-Forwarded-Proto must be https or http/);
    assert.throws(() => at({ host: 'a"b' }), /the X-Forwarded-Host header is no host name/);
    assert.throws(() => at({ prefix: 'x"' }), /X-Forwarded-Prefix must be a path/);
    assert.throws(() => at({ prefix: "//evil.example" }), /X-Forwarded-Prefix must be a path/);
  });
});
