/** Which requests to the admin port are a tool's, and which could be a web page's of somebody else. */
import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { describe, it } from "node:test";
import { adminHostnames, RefusedRequest, refuseForeign } from "../../../src/admin/guard.js";

const NAMES = adminHostnames("megagate, Push.Example.");

function verdict(headers: IncomingHttpHeaders): string {
  try {
    refuseForeign(headers, NAMES);
    return "served";
  } catch (error) {
    assert.ok(error instanceof RefusedRequest);
    assert.equal(error.row.http, 403);
    return error.reason;
  }
}

describe("the admin port serves", () => {
  for (const host of [
    "127.0.0.1:8081",
    "10.1.2.3",
    "[::1]:8081",
    "[fe80::1]",
    "localhost:8081",
    "LocalHost",
    "localhost.",
    "megagate:8081",
    "MEGAGATE",
    "push.example:443",
    "push.example.",
  ]) {
    it(`a tool that calls it ${host}`, () => assert.equal(verdict({ host }), "served"));
  }

  it("an HTTP/1.0 check without Host, and its own pages", () => {
    assert.equal(verdict({}), "served");
    assert.equal(verdict({ host: "localhost:8081", origin: "http://localhost:8081" }), "served");
    assert.equal(verdict({ host: "megagate", origin: "https://megagate:443" }), "served", "TLS ends before it");
    assert.equal(
      verdict({ host: "127.0.0.1:80", origin: "http://127.0.0.1", "sec-fetch-site": "same-origin" }),
      "served",
    );
    assert.equal(verdict({ host: "127.0.0.1:8081", "sec-fetch-site": "none" }), "served", "typed into the address bar");
  });
});

describe("the admin port refuses", () => {
  for (const host of [
    "evil.example",
    "rebind.127.0.0.1.example:8081",
    "localhost.evil.example",
    "2130706433.",
    "127.1",
    "",
  ]) {
    it(`a Host that its owner could point here: ${host || "(empty)"}`, () =>
      assert.equal(verdict({ host }), "foreign_host"));
  }

  for (const origin of [
    "https://page.example",
    "null",
    "http://127.0.0.1:9999",
    "http://localhost:8081",
    "http://127.0.0.1:8081.evil.example",
    "file://",
    "http://127.0.0.1:8081, http://evil.example",
    "chrome-extension://abc",
    "",
  ]) {
    it(`a page of ${origin || "(empty)"}`, () =>
      assert.equal(verdict({ host: "127.0.0.1:8081", origin }), "foreign_page"));
  }

  it("cross-site requests that carry no Origin, whatever else they say", () => {
    assert.equal(verdict({ host: "127.0.0.1:8081", "sec-fetch-site": "cross-site" }), "foreign_page");
    assert.equal(
      verdict({ host: "127.0.0.1", origin: "http://127.0.0.1", "sec-fetch-site": " Cross-Site" }),
      "foreign_page",
    );
  });

  it("and says which option would allow it", () => {
    assert.throws(
      () => refuseForeign({ host: "gate.corp:8081" }, NAMES),
      /start the gateway with --admin-hostnames gate\.corp$/,
    );
  });
});
