/** Two gateways on one port: whoever comes second is refused, and told who holds it. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { afterEach, describe, it } from "node:test";
import { GatewayError } from "../../../src/errors.js";
import { PortClaims } from "../../../src/supervision/port-claims.js";
import { needsIpv6 } from "../../support/needs.js";

const made: PortClaims[] = [];
function claims(): PortClaims {
  const one = new PortClaims();
  made.push(one);
  return one;
}
afterEach(() => {
  for (const one of made.splice(0)) one.release();
});

const at = (host: string, port: number, what: "public" | "admin" = "public") => ({ what, host, port });
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof GatewayError && error.kind === "config" && pattern.test(error.detail);

describe("port claims", () => {
  it("of two gateways that ask for one port at once, one gets it", async () => {
    const port = await claims().take(at("127.0.0.1", 0));
    for (const one of made.splice(0)) one.release();
    const both = await Promise.allSettled([claims(), claims()].map((one) => one.take(at("127.0.0.1", port))));
    assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  });

  it("the refusal names who holds the port, and the remedy", async () => {
    const port = await claims().take(at("127.0.0.1", 0));
    await assert.rejects(
      claims().take(at("127.0.0.1", port, "admin")),
      refused(/admin port \d+ on 127\.0\.0\.1 .* --admin-port/),
    );
    await assert.rejects(claims().take(at("0.0.0.0", port)), refused(/on 127\.0\.0\.1 \(process \d+, since 20/));
  });

  it("a port that was released can be had again", async () => {
    const first = claims();
    const port = await first.take(at("127.0.0.1", 0));
    first.release();
    assert.equal(await claims().take(at("127.0.0.1", port)), port);
  });

  it("every address and one address are the same port; two different addresses are not", async () => {
    const port = await claims().take(at("127.0.0.1", 0));
    assert.equal(await claims().take(at("127.0.0.2", port)), port);
    await assert.rejects(claims().take(at("0.0.0.0", port)), refused(/held by another gateway on 127\.0\.0\.[12]/));
    for (const one of made.splice(0)) one.release();
    await claims().take(at("0.0.0.0", port));
    await assert.rejects(claims().take(at("127.0.0.3", port)), refused(/held by another gateway on 0\.0\.0\.0/));
  });

  it("every interface with IPv6 takes what every IPv4 address and each address take", {
    skip: needsIpv6(),
  }, async () => {
    const port = await claims().take(at("::", 0));
    for (const host of ["0.0.0.0", "127.0.0.1", "::1"])
      await assert.rejects(claims().take(at(host, port)), refused(/held by another gateway on :: \(/), host);
    for (const one of made.splice(0)) one.release();
    await claims().take(at("::1", port));
    await assert.rejects(claims().take(at("::", port)), refused(/held by another gateway on ::1 \(/));
    assert.equal(await claims().take(at("0.0.0.0", port)), port, "IPv4 alone is not ::1");
  });

  it("of every address and one address at once, one gets it", async () => {
    for (let round = 0; round < 5; round++) {
      const port = await claims().take(at("127.0.0.1", 0));
      for (const one of made.splice(0)) one.release();
      const both = await Promise.allSettled(["127.0.0.1", "0.0.0.0"].map((host) => claims().take(at(host, port))));
      assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
      for (const one of made.splice(0)) one.release();
    }
  });

  it("public and admin port of one gateway must differ", async () => {
    const one = claims();
    const port = await one.take(at("127.0.0.1", 0));
    await assert.rejects(one.take(at("127.0.0.1", port, "admin")), refused(/--port and --admin-port are both/));
  });

  it("a holder that does not answer, or talks garbage, is not waited for", async () => {
    for (const word of [undefined, "x".repeat(5000), '{"pid":"1","since":5}']) {
      const port = await claims().take(at("127.0.0.1", 0));
      for (const one of made.splice(0)) one.release();
      const stranger = createServer((socket) => {
        socket.on("error", () => undefined);
        if (word !== undefined) socket.write(word);
      });
      await new Promise<void>((resolve) => stranger.listen(`\0megagate:port:${port}:127.0.0.1`, resolve));
      await assert.rejects(claims().take(at("127.0.0.1", port)), refused(/which does not say who it is/));
      stranger.close();
    }
  });
});
