/** The address of a client, behind trusted proxies and behind others. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { clientAddress, isProxyList, TrustedProxies } from "../../../src/admission/client-address.js";

const PROXIES = new TrustedProxies("127.0.0.1, 10.0.0.0/8 ,fd00::/8");
const client = (peer: string, forwardedFor: string, proxies = PROXIES): string => {
  const { address, viaProxy } = clientAddress(peer, () => forwardedFor, proxies);
  return `${address}${viaProxy ? " via proxy" : ""}`;
};

describe("the address of a client", () => {
  for (const [peer, forwardedFor, wanted, why] of [
    ["192.0.2.1", "", "192.0.2.1", "no proxy"],
    ["192.0.2.1", "203.0.113.9", "192.0.2.1", "an untrusted peer may claim anything"],
    ["127.0.0.2", "203.0.113.9", "127.0.0.2", "one address is not its network"],
    ["127.0.0.1", "203.0.113.9", "203.0.113.9 via proxy", "one proxy"],
    ["10.9.9.9", "203.0.113.9, 10.1.1.1", "203.0.113.9 via proxy", "two proxies"],
    [
      "127.0.0.1",
      "198.51.100.1, 203.0.113.9",
      "203.0.113.9 via proxy",
      "entries that the client sent itself stand before",
    ],
    ["127.0.0.1", "10.5.5.5, 203.0.113.9", "203.0.113.9 via proxy", "a client that claims to be a proxy"],
    ["127.0.0.1", "", "127.0.0.1 via proxy", "a proxy without the header"],
    ["127.0.0.1", "unknown", "127.0.0.1 via proxy", "a proxy that does not know the address"],
    ["127.0.0.1", "203.0.113.9, unknown", "127.0.0.1 via proxy", "entries before an unknown one are not believed"],
    ["127.0.0.1", "203.0.113.9,, ", "127.0.0.1 via proxy", "empty entries"],
    ["10.1.1.1", "10.2.2.2, 10.3.3.3", "10.2.2.2 via proxy", "a client in a trusted network"],
    ["127.0.0.1", "203.0.113.9:4711", "203.0.113.9 via proxy", "with a port"],
    ["127.0.0.1", "[2001:DB8:0::0:9]:4711", "2001:db8::9 via proxy", "IPv6 has one form"],
    ["127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9 via proxy", "IPv4 within IPv6"],
    ["127.0.0.1", "::ffff:cb00:7109", "203.0.113.9 via proxy", "IPv4 within IPv6, in hexadecimal digits"],
    ["127.0.0.1", "fe80::1%eth0", "127.0.0.1 via proxy", "an address that is valid on one interface only"],
    [
      "127.0.0.1",
      Array.from({ length: 300 }, (_, n) => `10.0.${n >> 8}.${n & 255}`).join(),
      "10.0.0.0 via proxy",
      "300 hops",
    ],
    [
      "0000:0000:0000:0000:0000:ffff:7f00:0001",
      "203.0.113.9",
      "203.0.113.9 via proxy",
      "an IPv4 proxy at an IPv6 socket",
    ],
    ["0000:0000:0000:0000:0000:ffff:c000:0201", "203.0.113.9", "192.0.2.1", "an IPv4 client at an IPv6 socket"],
    ["fd00:0000:0000:0000:0000:0000:0000:0007", "203.0.113.9", "203.0.113.9 via proxy", "a proxy's address in full"],
    ["127.0.0.1", "203.0.113.9, fd00::7", "203.0.113.9 via proxy", "a proxy with IPv6"],
    ["127.0.0.1", "203.0.113.999", "127.0.0.1 via proxy", "no address"],
  ] as const) {
    it(why, () => assert.equal(client(peer, forwardedFor), wanted));
  }

  it("is the peer where no proxy is trusted, without reading the headers", () => {
    const none = new TrustedProxies("");
    assert.ok(none.isEmpty);
    const { address, viaProxy } = clientAddress("127.0.0.1", () => assert.fail("read"), none);
    assert.deepEqual([address, viaProxy], ["127.0.0.1", false]);
  });

  it("cannot be forged by a client, whatever it sends before its proxy's entry", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (sent) => {
        assert.equal(client("127.0.0.1", `${sent}, 203.0.113.9`), "203.0.113.9 via proxy");
      }),
    );
  });
});

it("--trusted-proxies takes addresses and networks, and nothing else", () => {
  for (const list of ["127.0.0.1", "10.0.0.0/8", "10.1.2.3/8,::1", "fd00::/8 , 192.168.1.1/32", "0.0.0.0/0"]) {
    assert.ok(isProxyList(list), list);
    assert.ok(!new TrustedProxies(list).isEmpty);
  }
  for (const list of [
    "",
    " ",
    "localhost",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0",
    "::1/129",
    "a,b",
    "1.2.3.4,",
    "1.2.3.4/-1",
  ]) {
    assert.ok(!isProxyList(list), list);
  }
  const wrapped = new TrustedProxies("::ffff:10.0.0.0/104");
  assert.deepEqual([wrapped.trusts("10.200.0.1"), wrapped.trusts("11.0.0.1")], [true, false]);
  const wide = new TrustedProxies("10.1.2.3/8");
  assert.deepEqual([wide.trusts("10.200.0.1"), wide.trusts("11.0.0.1"), wide.trusts("nonsense")], [true, false, false]);
});
