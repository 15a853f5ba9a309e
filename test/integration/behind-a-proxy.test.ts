/** Behind nginx and HAProxy as shipped: the address of a client, the address that it is sent, and headers that it cannot forge. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { attempt, outcomes } from "../support/attempts.js";
import { Client } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { needsPrograms } from "../support/needs.js";
import { PROXIES, ProxyServer } from "../support/proxies.js";

for (const name of PROXIES) {
  describe(`behind ${name}`, { skip: needsPrograms(name) }, () => {
    it("clients are sent the address under which they know the proxy, whatever headers they send", async () => {
      await using gateway = await Gateway.start("--workers", "1", "--trusted-proxies", "127.0.0.1");
      await using proxy = await ProxyServer.start(name, gateway);
      const data = `ws://127.0.0.1:${proxy.port}/ws`;
      assert.deepEqual(await (await proxy.fetch("/bcall/url")).json(), { data });
      const claims = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
      };
      assert.deepEqual(await (await proxy.fetch("/bcall/url", claims)).json(), { data });
      const client = await Client.open(`${proxy.url}?topics=t`, ["megagate.v1"]);
      assert.equal(client.socket.protocol, "megagate.v1");
      await client.find("the answer", (message) => message.reqtype === "Subscribe");
      await client.end();
    });

    it("the limit counts the client's address and not the proxy's, and the address cannot be forged", async () => {
      const options = ["--workers", "1", "--connections-per-address", "3", "--trusted-proxies", "127.0.0.1"];
      await using gateway = await Gateway.start(...options);
      await using proxy = await ProxyServer.start(name, gateway);
      const from = (localAddress: string, ...lines: string[]) => attempt(proxy.port, { localAddress, lines });
      const invented = Array.from({ length: 6 }, (_, n) => from("127.0.0.77", `X-Forwarded-For: 203.0.113.${n}`));
      const greedy = await Promise.all(invented);
      assert.deepEqual(outcomes(greedy), { "101": 3, "429": 3 });
      const others = await Promise.all(["127.0.0.78", "127.0.0.79"].map((address) => from(address)));
      assert.deepEqual(outcomes(others), { "101": 2 });
      for (const one of [...greedy, ...others]) one.end();
    });
  });
}

it("a gateway that does not trust its peer counts all clients of a proxy as one address", async () => {
  await using gateway = await Gateway.start(
    "--workers",
    "1",
    "--connections-per-address",
    "2",
    "--trusted-proxies",
    "10.0.0.0/8",
  );
  const tries = [1, 2, 3].map((n) => attempt(gateway.port, { lines: [`X-Forwarded-For: 203.0.113.${n}`] }));
  const all = await Promise.all(tries);
  assert.deepEqual(outcomes(all), { "101": 2, "429": 1 });
  for (const one of all) one.end();
});

it("of several lines of X-Forwarded-For the last one counts, which the nearest proxy wrote", async () => {
  await using gateway = await Gateway.start(
    "--workers",
    "1",
    "--connections-per-address",
    "1",
    "--trusted-proxies",
    "127.0.0.1",
  );
  const from = (...hops: string[]) => attempt(gateway.port, { lines: hops.map((hop) => `X-Forwarded-For: ${hop}`) });
  const all = [
    await from("203.0.113.1", "203.0.113.9"),
    await from("203.0.113.2", "203.0.113.9"),
    await from("203.0.113.9", "203.0.113.1"),
  ];
  assert.deepEqual(
    all.map(({ outcome }) => outcome),
    ["101", "429", "101"],
  );
  for (const one of all) one.end();
});
