/** Keys of the admin port: every route of the real table with every kind of key, the ways in which a header may be wrong, and new keys. */
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import type { Answer } from "../../../src/admin/answers.js";
import { AdminKeys, type RouteScope } from "../../../src/admin/keys.js";
import { adminRoutes, type RouteDeps } from "../../../src/admin/routes.js";
import { createAdmin, type Route, type Routes } from "../../../src/admin/server.js";
import { type AdminKey, digestOf, SCOPES } from "../../../src/config/admin-keys.js";
import { until } from "../../support/wait.js";

const secretOf = (name: string): string => `planted-key-of-${name}`.padEnd(40, "x");
const keyFor = (name: string, ...scopes: AdminKey["scopes"]): AdminKey => ({
  name,
  scopes,
  digest: digestOf(secretOf(name)),
});
const KEYS = [...SCOPES.map((scope) => keyFor(scope, scope)), keyFor("all", ...SCOPES)];

/** What the table says; a new route must say here, too, whom it is for. */
const EXPECTED: Readonly<Record<string, RouteScope>> = {
  "POST /publish": "publish",
  "GET /metrics": "read",
  "GET /healthz": "none",
  "GET /readyz": "none",
  "POST /restart-workers": "operate",
  "GET /restart-workers": "operate",
  "GET /topics": "read",
  "GET /topics/{name}": "read",
  "GET /slow-readers": "read",
  "GET /openapi.json": "read",
  "GET /drain": "read",
  "GET /processes": "read",
};
// The routes are asked for their scopes alone: nothing that they answer with is looked at.
const TABLE = adminRoutes({} as RouteDeps);

/** An admin port with these routes and keys, and what it counted and answered. */
class Port {
  readonly refused: string[] = [];
  readonly reached: string[] = [];
  readonly open: Socket[] = [];
  readonly server: Server;

  constructor(
    readonly keys: AdminKeys,
    routes: Routes,
  ) {
    this.server = createAdmin(routes, {
      connections: 100,
      headSeconds: 10,
      hostnames: new Set(),
      keys,
      answerBytes: 20_000_000,
      answerSeconds: 30,
      onRefused: (reason) => void this.refused.push(reason),
    });
  }

  static async of(keys: readonly AdminKey[] | null, answer?: Route["answer"]): Promise<Port> {
    const reached = (route: string): Answer => {
      port.reached.push(route);
      return { body: { route } };
    };
    const routes = Object.entries(TABLE).map(([route, { scope }]): [string, Route] => [
      route,
      { scope, answer: answer ?? (() => reached(route)) },
    ]);
    const port: Port = new Port(new AdminKeys(keys), Object.fromEntries(routes));
    await new Promise<void>((resolve) => port.server.listen(0, "127.0.0.1", resolve));
    return port;
  }

  async connect(): Promise<{ readonly socket: Socket; text: string; isClosed: boolean }> {
    const socket = connect((this.server.address() as AddressInfo).port, "127.0.0.1");
    this.open.push(socket);
    const peer = { socket, text: "", isClosed: false };
    socket.on("data", (bytes) => {
      peer.text += String(bytes);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      peer.isClosed = true;
    });
    await new Promise((resolve) => socket.once("connect", resolve));
    return peer;
  }

  /** The whole answer to one request. */
  async ask(line: string, headers: readonly string[] = [], body = ""): Promise<string> {
    const peer = await this.connect();
    const length = body === "" ? [] : [`Content-Length: ${body.length}`];
    peer.socket.write(
      [`${line} HTTP/1.1`, "Host: 127.0.0.1", ...headers, ...length, "Connection: close", "", body].join("\r\n"),
    );
    await until("answered", () => peer.isClosed, Boolean);
    return peer.text;
  }

  close(): void {
    for (const socket of this.open) socket.destroy();
    this.server.close();
    this.server.closeAllConnections();
  }
}

const status = (answer: string): number => Number(answer.split(" ")[1]);
const challenge = (answer: string): string | undefined => /^WWW-Authenticate: (.*)$/m.exec(answer)?.[1];
const bearer = (secret: string): string[] => [`Authorization: Bearer ${secret}`];

it("the table's scopes are these", () => {
  assert.deepEqual(Object.fromEntries(Object.entries(TABLE).map(([route, { scope }]) => [route, scope])), EXPECTED);
  // @ts-expect-error A route without a scope does not compile.
  const open: Route = { answer: () => ({ body: {} }) };
  assert.equal(open.scope, undefined);
});

describe("with keys, the admin port", () => {
  let port: Port;
  before(async () => {
    port = await Port.of(KEYS);
  });
  after(() => port.close());

  for (const [route, scope] of Object.entries(EXPECTED)) {
    const line = route.replace("{name}", "exts");
    const body = route.startsWith("POST") ? "{}" : "";
    if (scope === "none") {
      it(`answers ${route} to everybody`, async () => {
        for (const headers of [[], bearer("nobody's-key"), bearer(secretOf("publish"))])
          assert.equal(status(await port.ask(line, headers, body)), 200);
      });
      continue;
    }
    it(`answers ${route} to keys with the scope ${scope} alone`, async () => {
      port.refused.length = 0;
      port.reached.length = 0;
      const without = await port.ask(line, [], body);
      assert.deepEqual([status(without), challenge(without)], [401, 'Bearer realm="megagate"']);
      const wrong = await port.ask(line, bearer(`${secretOf(scope).slice(0, -1)}y`), body);
      assert.deepEqual([status(wrong), challenge(wrong)], [401, 'Bearer realm="megagate", error="invalid_token"']);
      const others = SCOPES.filter((other) => other !== scope);
      for (const other of others) {
        const lacking = await port.ask(line, bearer(secretOf(other)), body);
        assert.deepEqual(
          [status(lacking), challenge(lacking)],
          [403, 'Bearer realm="megagate", error="insufficient_scope"'],
        );
        assert.match(lacking, new RegExp(`the key ${other} has the scope ${other}, and this request needs ${scope}`));
        assert.ok(!lacking.includes(secretOf(other)));
      }
      assert.deepEqual(port.reached, []);
      assert.deepEqual(port.refused, ["no_key", "wrong_key", ...others.map(() => "missing_scope")]);
      for (const right of [scope, "all"])
        assert.equal(status(await port.ask(line, bearer(secretOf(right)), body)), 200);
      assert.deepEqual(port.reached, [route, route]);
    });
  }

  const right = secretOf("all");
  const taken: string[] = [`Authorization: bearer ${right}`, `AUTHORIZATION:BEARER   ${right}  `];
  for (const header of taken)
    it(`takes ${JSON.stringify(header)}`, async () =>
      assert.equal(status(await port.ask("GET /topics", [header])), 200));

  const refused: [what: string, headers: string[]][] = [
    ["two headers with the same key", [...bearer(right), ...bearer(right)]],
    ["a right header before a wrong one", [...bearer(right), ...bearer("x")]],
    ["two keys in one header", [`Authorization: Bearer ${right}, Bearer ${right}`]],
    ["a key and a word more", [`Authorization: Bearer ${right} x`]],
    ["no scheme", [`Authorization: ${right}`]],
    ["another scheme", [`Authorization: Basic ${right}`]],
    ["a scheme that begins alike", [`Authorization: Bearers ${right}`]],
    ["no blank", [`Authorization: Bearer${right}`]],
    ["a tab", [`Authorization: Bearer\t${right}`]],
    ["an empty key", ["Authorization: Bearer "]],
    ["an empty header", ["Authorization:"]],
    ["the digest", bearer(digestOf(right))],
    ["the key in capitals", bearer(right.toUpperCase())],
    ["half the key", bearer(right.slice(0, 20))],
    ["the key twice as long", bearer(right + right)],
    ["8 KB", bearer("k".repeat(8000))],
    ["bytes beyond ASCII", bearer(`${right}é`)],
    ["the key in another header", [`Proxy-Authorization: Bearer ${right}`, `X-Api-Key: ${right}`, `Cookie: ${right}`]],
  ];
  for (const [what, headers] of refused) {
    it(`refuses ${what}, and repeats none of it`, async () => {
      const answer = await port.ask("POST /publish", headers, "{}");
      assert.equal(status(answer), 401);
      assert.ok(challenge(answer)?.startsWith("Bearer "));
      assert.ok(!answer.includes(right));
    });
  }

  it("takes no key from the address", async () => {
    for (const query of [`access_token=${right}`, `key=${right}`, `authorization=Bearer%20${right}`])
      assert.equal(status(await port.ask(`GET /topics?${query}`)), 401);
  });

  it("has no way round by another spelling of a path or a method", async () => {
    port.reached.length = 0;
    const lines = [
      ...["POST //publish", "POST /publish/", "POST /./publish", "POST /healthz/../publish", "GET /metric%73"],
      ...["POST /PUBLISH", "POST /publish%2e", "POST /healthz", "POST http://127.0.0.1/publish", "PUT /publish"],
      ...["GET /topics/%2e%2e/publish", "GET /topics//exts", "HEAD /publish", "GET /healthz%2f..%2f"],
      ...[
        "GET /healthz/x",
        "GET /readyz;x",
        "OPTIONS /publish",
        "OPTIONS *",
        "GET /nothing",
        "GET /",
        "TRACE /metrics",
      ],
    ];
    for (const line of lines) {
      assert.equal(status(await port.ask(line)), 401, line);
      const known = status(await port.ask(line, bearer(secretOf("publish"))));
      assert.ok([404, 405].includes(known), `${line}: ${known}`);
    }
    assert.deepEqual(port.reached, []);
    assert.equal(status(await port.ask("HEAD /metrics")), 401);
    assert.equal(status(await port.ask("HEAD /metrics", bearer(secretOf("publish")))), 403);
    assert.equal(status(await port.ask("HEAD /metrics", bearer(secretOf("read")))), 200);
  });

  it("refuses a page of another site and a foreign name before it looks at the key", async () => {
    port.refused.length = 0;
    for (const header of ["Origin: https://page.example", "Sec-Fetch-Site: cross-site", "Host: rebind.example"]) {
      const headers = [header, ...bearer(right)];
      const peer = await port.connect();
      const host = header.startsWith("Host") ? [] : ["Host: 127.0.0.1"];
      peer.socket.write(["POST /publish HTTP/1.1", ...host, ...headers, "Connection: close", "", ""].join("\r\n"));
      await until("answered", () => peer.isClosed, Boolean);
      assert.deepEqual([status(peer.text), challenge(peer.text)], [403, undefined]);
    }
    assert.deepEqual(port.refused, ["foreign_page", "foreign_page", "foreign_host"]);
  });

  it("answers before it has a byte of the body, and asks for none", async () => {
    const head = ["POST /publish HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 1000000"];
    const peer = await port.connect();
    peer.socket.write([...head, "Expect: 100-continue", "", ""].join("\r\n"));
    await until(
      "refused",
      () => peer.text,
      (text) => text.includes("\r\n\r\n"),
    );
    assert.equal(status(peer.text), 401);
    const admitted = await port.connect();
    admitted.socket.write([...head, "Expect: 100-continue", ...bearer(right), "", ""].join("\r\n"));
    await until(
      "asked for",
      () => admitted.text,
      (text) => text.includes("\r\n\r\n"),
    );
    assert.equal(status(admitted.text), 100);
    for (const { socket } of [peer, admitted]) socket.destroy();
  });
});

it("without keys every route of the port answers, whatever key is sent", async () => {
  const port = await Port.of(null);
  assert.equal(status(await port.ask("POST /publish", [], "{}")), 200);
  assert.equal(status(await port.ask("GET /topics", bearer("whatever"))), 200);
  port.close();
});

it("with an empty list of keys nobody gets in", async () => {
  const port = await Port.of([]);
  assert.equal(status(await port.ask("GET /topics", bearer(secretOf("all")))), 401);
  assert.equal(status(await port.ask("GET /healthz")), 200);
  port.close();
});

it("new keys count at once; a stream whose key was removed is cut, one whose key stays goes on", async () => {
  const port = await Port.of(KEYS, (request) => {
    request.resume();
    return new Promise((resolve) => request.once("end", () => resolve({ body: {} })));
  });
  const stream = async (secret: string): ReturnType<Port["connect"]> => {
    const peer = await port.connect();
    const head = ["POST /publish HTTP/1.1", "Host: 127.0.0.1", "Transfer-Encoding: chunked", ...bearer(secret), ""];
    peer.socket.write([...head, "2\r\n{}\r\n"].join("\r\n"));
    return peer;
  };
  const [removed, narrowed, kept] = [
    await stream(secretOf("publish")),
    await stream(secretOf("all")),
    await stream(secretOf("stays")),
  ];
  assert.equal(kept.text, "");
  await until(
    "refused",
    () => kept.text,
    (text) => text.includes("401"),
  );
  const stays = keyFor("stays", "publish");
  port.keys.replace([...KEYS, stays]);
  const late = await stream(secretOf("stays"));
  // The head of each has been read when a later request of another connection is answered.
  assert.equal(status(await port.ask("GET /healthz")), 200);
  assert.equal(port.keys.replace([stays, keyFor("all", "read")]), 2);
  await until("cut", () => removed.isClosed && narrowed.isClosed, Boolean);
  assert.equal(late.isClosed, false);
  late.socket.write("0\r\n\r\n");
  await until(
    "answered",
    () => late.text,
    (text) => text.startsWith("HTTP/1.1 200"),
  );
  assert.equal(status(await port.ask("GET /topics", bearer(secretOf("publish")))), 401);
  assert.equal(port.keys.replace([stays]), 0, "what has ended is not cut");
  port.close();
});
