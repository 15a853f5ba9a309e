/** --allowed-origins at the real port: who may connect, who may read plain answers, and that refusals are counted. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { attempt } from "../support/attempts.js";
import { RawPeer } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const GOOD = "https://good.example";
const PATHS = ["/bcall/url", "/healthz", "/megagate.js"];

async function head(port: number, method: string, path: string, ...lines: string[]): Promise<Map<string, string>> {
  const peer = await RawPeer.connect(port);
  const request = [`${method} ${path} HTTP/1.1`, "Host: 127.0.0.1", ...lines, "Connection: close", "", ""].join("\r\n");
  const [status = "", ...rows] = (await peer.untilEnd(request)).split("\r\n\r\n")[0]!.split("\r\n");
  return new Map([
    ["status", status.split(" ")[1]!],
    ...rows.map((row) => [row.split(":")[0]!.toLowerCase(), row.slice(row.indexOf(":") + 2)] as const),
  ]);
}

describe("with --allowed-origins", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "1", "--allowed-origins", `${GOOD},https://*.wild.example`);
  });
  after(() => gateway[Symbol.asyncDispose]());

  const connect = async (...lines: string[]): Promise<string> => {
    const one = await attempt(gateway.port, { lines });
    one.end();
    return one.outcome;
  };

  it("listed pages and programs connect, other pages get 403 and are counted", async () => {
    for (const lines of [
      [],
      [`Origin: ${GOOD}`],
      ["Origin: HTTPS://Good.Example"],
      ["Origin: https://a.wild.example"],
    ]) {
      assert.equal(await connect(...lines), "101", lines.join());
    }
    const foreign = [
      ["Origin: null"],
      ["Origin: file://"],
      ["Origin:"],
      [`Origin: ${GOOD}.evil`],
      [`Origin: ${GOOD}:8443`],
      ["Origin: https://good.example@evil.example"],
      ["Origin: https://evil.example", `Origin: ${GOOD}`],
      [`Origin: ${GOOD}`, "Origin: https://evil.example"],
      ["Origin:", `Origin: ${GOOD}`],
    ];
    for (const lines of foreign) assert.equal(await connect(...lines), "403", lines.join());
    const counted = (): Promise<number> => gateway.metric('megagate_refused_total{reason="foreign_origin"}');
    await until("counted", counted, (n) => n === foreign.length);
  });

  it("listed pages read plain answers and preflights, other pages do not, and caches keep them apart", async () => {
    for (const path of PATHS) {
      for (const method of ["GET", "HEAD", "OPTIONS"]) {
        const good = await head(gateway.port, method, path, `Origin: ${GOOD}`);
        const evil = await head(gateway.port, method, path, "Origin: https://evil.example");
        const none = await head(gateway.port, method, path);
        for (const answer of [good, evil, none]) {
          assert.match(answer.get("status")!, /^20[04]$/);
          assert.match(answer.get("vary")!, /\bOrigin\b/, `${method} ${path}`);
          if (path === "/bcall/url" && method !== "OPTIONS") {
            assert.deepEqual([answer.get("cache-control"), answer.get("vary")], ["no-store", "Host, Origin"]);
          }
        }
        const allowed = [good, evil, none].map((answer) => answer.get("access-control-allow-origin"));
        assert.deepEqual(allowed, [GOOD, undefined, undefined], `${method} ${path}`);
      }
    }
    const unknown = await head(gateway.port, "GET", "/nothing", "Origin: https://evil.example");
    assert.deepEqual([unknown.get("status"), unknown.get("access-control-allow-origin")], ["404", undefined]);
  });
});

describe("without --allowed-origins", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "1");
  });
  after(() => gateway[Symbol.asyncDispose]());

  it("every page connects and reads", async () => {
    for (const origin of ["https://evil.example", "null"]) {
      const one = await attempt(gateway.port, { lines: [`Origin: ${origin}`] });
      one.end();
      assert.equal(one.outcome, "101");
      for (const path of PATHS) {
        const answer = await head(gateway.port, "GET", path, `Origin: ${origin}`);
        assert.equal(answer.get("access-control-allow-origin"), "*");
      }
    }
  });

  it("a Host that is no host, or stands twice, is never answered with an address", async () => {
    const url = (...hosts: string[]): Promise<string> =>
      RawPeer.connect(gateway.port).then((peer) =>
        peer.untilEnd(["GET /bcall/url HTTP/1.1", ...hosts.map((host) => `Host: ${host}`), "", ""].join("\r\n")),
      );
    for (const hosts of [
      [],
      ["user@a.example"],
      ["a.example", "b.example"],
      ["a.example", "a.example"],
      ["a b"],
      [""],
    ]) {
      const answer = await url(...hosts);
      assert.doesNotMatch(answer, /^HTTP\/1\.1 2/, hosts.join());
      assert.doesNotMatch(answer, /ws:\/\//, hosts.join());
    }
    assert.match(await url("a.example."), /"ws:\/\/a\.example\.\/ws"/, "a trailing dot is the same host");
  });
});
