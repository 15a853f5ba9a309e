/**
 * HTTP details on which monitors, browsers and proxies rely, on both ports (RFC 9110): HEAD, 405 with Allow, 426 with Upgrade,
 * 204 without a body, preflights, repeated header lines, and web pages that must not reach the admin port.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, HANDSHAKE, RawPeer } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

interface Answered {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

const header = ({ head }: Answered, name: string): string | undefined =>
  new RegExp(`^${name}: *(.*)$`, "im").exec(head)?.[1];

describe("HTTP on both ports", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "1", "--admin-hostnames", "megagate");
  });
  after(() => gateway[Symbol.asyncDispose]());

  async function raw(port: number, request: string): Promise<Answered> {
    const peer = await RawPeer.connect(port);
    const [head = "", ...body] = (await peer.untilEnd(request)).split("\r\n\r\n");
    return { status: Number(head.split(" ")[1]), head, body: body.join("\r\n\r\n") };
  }

  const ask = (method: string, path: string, port = gateway.port, lines: string[] = []): Promise<Answered> =>
    raw(port, [`${method} ${path} HTTP/1.1`, "Host: 127.0.0.1", ...lines, "Connection: close", "", ""].join("\r\n"));

  const refused = (reason: string): Promise<number> => gateway.metric(`megagate_refused_total{reason="${reason}"}`);

  const PUBLIC = ["/bcall/url", "/megagate.js", "/healthz"];
  const PRIVATE = ["/healthz", "/readyz", "/metrics", "/processes", "/topics"];

  it("HEAD gets the head of GET, without the body", async () => {
    const all = [
      ...PUBLIC.map((path) => [path, gateway.port] as const),
      ...PRIVATE.map((path) => [path, gateway.adminPort] as const),
    ];
    for (const [path, port] of all) {
      const [head, get] = [await ask("HEAD", path, port), await ask("GET", path, port)];
      assert.equal(head.status, get.status, path);
      assert.equal(head.body, "", path);
      assert.equal(header(head, "Content-Type"), header(get, "Content-Type"), path);
      if (path !== "/metrics") assert.equal(header(head, "Content-Length"), String(Buffer.byteLength(get.body)), path);
    }
    assert.equal((await ask("HEAD", "/nothing")).body, "");
    const plain = await ask("HEAD", "/ws");
    assert.deepEqual([plain.status, plain.body, header(plain, "Upgrade")], [426, "", "websocket"]);
  });

  it("pipelined HEADs are each answered, and a request after them", async () => {
    const head = "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    const { head: first, body } = await raw(gateway.port, `${head}${head}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal(`${first}\r\n\r\n${body}`.split("HTTP/1.1 200 OK").length - 1, 3);
    assert.ok(body.endsWith('{"status":"alive"}'));
  });

  it("the public health check answers that the worker runs, and nothing else", async () => {
    assert.deepEqual(JSON.parse((await ask("GET", "/healthz")).body), { status: "alive" });
  });

  it("another method: 405 with the allowed ones, counted", async () => {
    const before = await refused("bad_method");
    for (const [method, path] of [
      ["POST", "/bcall/url"],
      ["DELETE", "/healthz"],
      ["PUT", "/megagate.js"],
    ] as const) {
      const answer = await ask(method, path);
      assert.deepEqual([answer.status, header(answer, "Allow")], [405, "GET, HEAD, OPTIONS"], path);
    }
    await until(
      "counted",
      () => refused("bad_method"),
      (n) => n === before + 3,
    );
    for (const [method, path, allow] of [
      ["PUT", "/publish", "POST"],
      ["GET", "/publish", "POST"],
      ["POST", "/metrics", "GET, HEAD"],
      ["DELETE", "/topics/exts", "GET, HEAD"],
      ["PUT", "/restart-workers", "POST, GET, HEAD"],
    ] as const) {
      const answer = await ask(method, path, gateway.adminPort);
      assert.deepEqual([answer.status, header(answer, "Allow")], [405, allow], path);
    }
    const halfway = await ask("PUT", "/publish", gateway.adminPort, ["Content-Length: 5"]);
    assert.equal(header(halfway, "Allow"), "POST", "a body that is still to come");
  });

  it("a preflight allows the requested headers, without a body and without a length", async () => {
    for (const asked of ["x-requested-with", "authorization", "content-type,X-Trace-Id, traceparent"]) {
      const lines = [
        "Origin: https://a.example",
        "Access-Control-Request-Method: GET",
        `Access-Control-Request-Headers: ${asked}`,
      ];
      const answer = await ask("OPTIONS", "/bcall/url", gateway.port, lines);
      assert.equal(answer.status, 204);
      assert.deepEqual([header(answer, "Content-Length"), answer.body], [undefined, ""]);
      const names = header(answer, "Access-Control-Allow-Headers")?.split(", ");
      assert.deepEqual(names, asked.split(/, */));
      assert.equal(header(answer, "Access-Control-Allow-Origin"), "*");
    }
    const odd = await ask("OPTIONS", "/bcall/url", gateway.port, ['Access-Control-Request-Headers: a b, <"x">, ok']);
    assert.equal(header(odd, "Access-Control-Allow-Headers"), "ok");
  });

  it("no cache may keep the answer with an address, which is for one client", async () => {
    assert.equal(header(await ask("GET", "/bcall/url"), "Cache-Control"), "no-store");
  });

  it("X-Forwarded-… of an untrusted peer changes nothing", async () => {
    const lines = ["X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Prefix: /x"];
    const { body } = await ask("GET", "/bcall/url", gateway.port, lines);
    assert.deepEqual(JSON.parse(body), { data: "ws://127.0.0.1/ws" });
  });

  it("a sub-protocol may stand on any line", async () => {
    const lines = (...protocols: string[]): string =>
      HANDSHAKE.replace(
        "\r\n\r\n",
        `\r\n${protocols.map((line) => `Sec-WebSocket-Protocol: ${line}\r\n`).join("")}\r\n`,
      );
    for (const protocols of [
      ["other", "megagate.v1"],
      ["megagate.v1", "other"],
      ["a, b", "c,megagate.v1"],
      ["megagate.v10", "megagate.v1"],
    ]) {
      const peer = await RawPeer.connect(gateway.port);
      peer.socket.write(lines(...protocols));
      const text = await until(
        "answered",
        () => peer.received,
        (received) => received.includes("\r\n\r\n"),
      );
      peer.socket.destroy();
      assert.match(text, /^HTTP\/1\.1 101 .*\r\nSec-WebSocket-Protocol: megagate\.v1\r\n/s, protocols.join(" | "));
    }
  });

  it("foreign web pages are refused on the admin port and counted; tools and its own names are served", async () => {
    const reader = await Client.open(`${gateway.url}?topics=pages`);
    await reader.find("subscribed", (message) => message.reqtype === "Subscribe");
    const body = '{"topic":"pages","data":"by a page"}';
    const post = (path: string, lines: string[]): Promise<Answered> =>
      raw(
        gateway.adminPort,
        [`POST ${path} HTTP/1.1`, ...lines, `Content-Length: ${body.length}`, "Connection: close", "", body].join(
          "\r\n",
        ),
      );
    const host = `Host: 127.0.0.1:${gateway.adminPort}`;
    for (const lines of [
      [host, "Origin: https://page.example", "Content-Type: text/plain"],
      [host, "Origin: null"],
      [host, "Sec-Fetch-Site: cross-site"],
      ["Host: rebind.example"],
    ]) {
      for (const path of ["/publish", "/restart-workers"])
        assert.equal((await post(path, lines)).status, 403, lines.join());
    }
    const foreign = await raw(
      gateway.adminPort,
      "GET /topics/pages HTTP/1.1\r\nHost: rebind.example\r\nConnection: close\r\n\r\n",
    );
    assert.equal(foreign.status, 403);
    assert.match(foreign.body, /start the gateway with --admin-hostnames rebind\.example/);
    const counted = (reason: string): Promise<number> =>
      gateway.metric(`megagate_admin_refused_total{reason="${reason}"}`);
    assert.deepEqual([await counted("foreign_page"), await counted("foreign_host")], [6, 3]);
    assert.equal((await post("/publish", ["Host: megagate:8081"])).status, 200);
    assert.equal((await post("/publish", [host, `Origin: http://127.0.0.1:${gateway.adminPort}`])).status, 200);
    await until(
      "two pushes",
      () => reader.messages.filter(({ data }) => data === "by a page").length,
      (n) => n === 2,
    );
    await reader.end();
  });
});
