/** --allowed-origins: which lists are taken, which pages may connect, and which may read plain answers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AllowedOrigins, corsHeaders, isOriginList, refuseOrigin } from "../../../src/admission/origins.js";

const LIST =
  "https://good.example, https://*.wild.example:8443,http://localhost:3000,http://[::1]:8080,capacitor://localhost,https://Bücher.example,https://*.local";
const ORIGINS = new AllowedOrigins(LIST);

describe("a page may connect", () => {
  for (const [origin, isAllowed, why] of [
    [undefined, true, "no Origin: not a browser"],
    ["https://good.example", true, "as listed"],
    ["https://good.example:443", true, "with the default port of its scheme"],
    ["HTTPS://GOOD.EXAMPLE", true, "in upper case: scheme and host have no case (RFC 6454 §4)"],
    ["http://good.example", false, "another scheme"],
    ["https://good.example:8443", false, "another port"],
    ["https://good.example:80", false, "the default port of another scheme"],
    ["https://good.example.evil", false, "the listed name as a prefix"],
    ["https://good.example.", false, "a trailing dot is another origin"],
    ["https://evilgood.example", false, "the listed name as a suffix"],
    ["https://sub.good.example", false, "a subdomain of an exact entry"],
    ["https://good.example/", false, "a path"],
    ["https://good.example@evil.example", false, "the listed name as a user"],
    ["https://user@good.example", false, "a user"],
    ["https://user:https@good.example", false, "a user and a password"],
    ["https://good.example, https://good.example", false, "two headers, even of one value"],
    ["https://evil.example, https://good.example", false, "two headers"],
    ["https://good.example https://evil.example", false, "a list of RFC 6454"],
    ["null", false, "a sandboxed frame or a local file"],
    ["file://", false, "a local file in some web views"],
    ["", false, "an empty header"],
    [" https://good.example", false, "blanks"],
    ["https://good.example\t", false, "a tab"],
    ["https://good.example:0", false, "port 0"],
    ["https://good.example:65536", false, "no port"],
    ["https://good.example:", false, "an empty port"],
    ["https://", false, "no host"],
    ["good.example", false, "no scheme"],
    ["https://a.wild.example:8443", true, "one label for the star"],
    ["https://a-1_b.wild.example:8443", true, "any characters of a label"],
    ["https://wild.example:8443", false, "no label for the star"],
    ["https://a.b.wild.example:8443", false, "two labels for the star"],
    ["https://.wild.example:8443", false, "an empty label"],
    ["https://*.wild.example:8443", false, "the star itself"],
    ["https://a.wild.example", false, "the star with another port"],
    ["https://evilwild.example:8443", false, "no dot after the label"],
    ["https://a.wild.example.evil:8443", false, "the pattern as a prefix"],
    ["https://local", false, "no label for the star before a name without dots"],
    ["https://a.local", true, "a star before a name without dots"],
    ["http://localhost:3000", true, "a port"],
    ["http://localhost:03000", true, "a port with a zero before it"],
    ["http://[::1]:8080", true, "an IPv6 address"],
    ["http://[0:0:0::0:1]:8080", true, "an IPv6 address in another form"],
    ["http://[::2]:8080", false, "another IPv6 address"],
    ["http://[:::1]:8080", false, "no IPv6 address"],
    ["capacitor://localhost", true, "an own scheme, of an app's web view"],
    ["https://xn--bcher-kva.example", true, "a name of another script, as browsers send it"],
    [`https://${"a.".repeat(2000)}good.example`, false, "a long one"],
    ["__proto__", false, "a member of every object"],
  ] as const) {
    it(`${isAllowed ? "yes" : "no"}: ${why}`, () => {
      const refusal = refuseOrigin(ORIGINS, origin);
      assert.equal(refusal === undefined, isAllowed);
      if (refusal) {
        assert.deepEqual(
          [refusal.reason, refusal.error.row.http, refusal.error.row.code],
          ["foreign_origin", 403, 4304],
        );
      }
      assert.deepEqual(
        corsHeaders(ORIGINS, origin),
        isAllowed && origin !== undefined
          ? { "Access-Control-Allow-Origin": origin, Vary: "Origin" }
          : { Vary: "Origin" },
      );
    });
  }

  it("only where it is listed, whatever stands around a listed name", () => {
    const exact = new AllowedOrigins("https://good.example");
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const origin = `${before}https://good.example${after}`;
        assert.equal(exact.allows(origin), /^https:\/\/good\.example(?::0{0,2}443)?$/.test(origin));
      }),
    );
  });
});

it("--allowed-origins takes origins, and nothing else", () => {
  for (const list of [LIST, "https://a.example", " http://a:1 , http://b:2 ", "https://10.0.0.1", "app://localhost"]) {
    assert.ok(isOriginList(list), list);
  }
  for (const list of [
    "",
    "*",
    "null",
    "file://",
    "https://",
    "a.example",
    "https://a.example/",
    "https://a.example/path",
    "https://a.example?x",
    "https://u@a.example",
    "https://a.example,",
    "https://a.example;https://b.example",
    "https://a.example:65536",
    "https://a.example:",
    "https://a.*.example",
    "https://*",
    "https://*.*.example",
    "https://*a.example",
    "https://*.[::1]",
    "https://[::1",
    "https://[::g]",
    "https://a b.example",
    "https://a..example",
    "https://ü\u0000.example",
    "//a.example",
  ]) {
    assert.ok(!isOriginList(list), list);
  }
});
